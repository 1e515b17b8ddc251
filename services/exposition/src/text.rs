//! The text formats 0.0.4 and 1.0.0, which differ in the names that they can show.

use metrifold_merge::{Family, FamilyKind};

use crate::{
    names::FamilyNames,
    rows::sections,
    syntax,
    template::{Gap, Template},
};

/// The family as text. Units, times of creation and exemplars have no place in it.
pub(crate) fn template(family: &Family, names: &FamilyNames) -> Template {
    let mut template = Template::default();
    for section in sections(family, names) {
        metadata(section.name, family, template.text());
        for row in section.rows {
            let series = &family.series[row];
            syntax::series(names, family.kind, names.sample(&series.name), series, None, template.text());
            template.gap(Gap::Value(row));
            template.text().push('\n');
        }
    }
    template.finish()
}

fn metadata(name: &str, family: &Family, text: &mut String) {
    syntax::metadata("HELP", name, text);
    syntax::escaped(&family.help, false, text);
    text.push('\n');
    syntax::metadata("TYPE", name, text);
    text.push_str(match family.kind {
        // These formats do not know the types of OpenMetrics alone.
        FamilyKind::Info | FamilyKind::StateSet => "gauge",
        known => known.name(),
    });
    text.push('\n');
}
