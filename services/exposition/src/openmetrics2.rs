//! OpenMetrics 2.0.0, release candidate 0: <https://prometheus.io/docs/specs/om/open_metrics_spec_2_0/>.

use metrifold_merge::{Family, FamilyKind};

use crate::{
    escaping::Escaping,
    exemplar::ExemplarRules,
    names::FamilyNames,
    number::append_float,
    rows::{Role, metrics, sections},
    syntax,
    template::{Gap, Template},
};

/// The family as OpenMetrics 2: a metric is one line, and what one of its parts has of exemplars follows it.
pub(crate) fn template(family: &Family, names: &FamilyNames, escaping: Escaping) -> Template {
    let mut template = Template::new(ExemplarRules { escaping, needs_time: true, is_short: false });
    for section in sections(family, names) {
        metadata(section.name, family, names, template.text());
        for metric in metrics(family, section.rows) {
            match family.kind {
                FamilyKind::Histogram => composite(&metric, "le", "bucket", family, names, &mut template),
                FamilyKind::Summary => {
                    composite(&metric, "quantile", "quantile", family, names, &mut template)
                }
                _ => metric.iter().for_each(|row| number(*row, family, names, &mut template)),
            }
        }
    }
    template.finish()
}

fn metadata(name: &str, family: &Family, names: &FamilyNames, text: &mut String) {
    let is_named = match family.kind {
        FamilyKind::Info => name.ends_with("_info"),
        FamilyKind::StateSet => names.label(&family.name) == names.family,
        _ => true,
    };
    syntax::metadata("TYPE", name, text);
    text.push_str(if is_named { family.kind.name() } else { "gauge" });
    text.push('\n');
    let has_unit = !matches!(family.kind, FamilyKind::Info | FamilyKind::StateSet);
    let is_word = |unit: &str| unit.chars().all(|each| each.is_ascii_alphanumeric() || "_:".contains(each));
    if has_unit && !family.unit.is_empty() && is_word(&family.unit) {
        syntax::metadata("UNIT", name, text);
        text.push_str(&family.unit);
        text.push('\n');
    }
    syntax::metadata("HELP", name, text);
    syntax::escaped(&family.help, true, text);
    text.push('\n');
}

fn number(row: usize, family: &Family, names: &FamilyNames, template: &mut Template) {
    let series = &family.series[row];
    syntax::series(names, family.kind, names.sample(&series.name), series, None, template.text());
    template.gap(Gap::Value(row));
    if family.kind == FamilyKind::Counter {
        start(row, family, template);
        exemplar(row, family, template);
    }
    template.text().push('\n');
}

/// `name{labels} {count:…,sum:…,bucket:[bound:count,…]} st@… # {…}`.
fn composite(
    metric: &[usize],
    own: &str,
    list: &str,
    family: &Family,
    names: &FamilyNames,
    template: &mut Template,
) {
    let role = |row: usize| Role::of(family, &family.series[row]);
    let (first, find) = (metric[0], |wanted| metric.iter().copied().find(|row| role(*row) == wanted));
    let part = |name: &str, row: Option<usize>, gap: fn(usize) -> Gap, template: &mut Template| {
        template.text().push_str(name);
        match row {
            Some(row) => template.gap(gap(row)),
            // The format has no histogram without one; a source that does not say has no other answer than this.
            None => template.text().push_str("NaN"),
        }
    };
    syntax::series(names, family.kind, &names.family, &family.series[first], Some(own), template.text());
    part("{count:", find(Role::Count), Gap::Count, template);
    part(",sum:", find(Role::Sum), Gap::Value, template);
    template.text().push_str(&format!(",{list}:["));
    let mut separator = "";
    for row in metric {
        let (Role::Bucket(bound) | Role::Quantile(bound)) = role(*row) else { continue };
        template.text().push_str(separator);
        separator = ",";
        let mut text = Vec::new();
        append_float(bound, &mut text);
        template.text().push_str(&String::from_utf8_lossy(&text));
        template.text().push(':');
        template.gap(if family.kind == FamilyKind::Histogram { Gap::Count(*row) } else { Gap::Value(*row) });
    }
    template.text().push_str("]}");
    template.gap(Gap::Nothing);
    start(first, family, template);
    metric.iter().for_each(|row| exemplar(*row, family, template));
    template.text().push('\n');
}

fn start(row: usize, family: &Family, template: &mut Template) {
    if !family.created.is_empty() {
        template.text().push_str(" st@");
        template.gap(Gap::Created(row));
    }
}

fn exemplar(row: usize, family: &Family, template: &mut Template) {
    if !family.exemplars.is_empty() {
        template.gap(Gap::Exemplar(row));
    }
}
