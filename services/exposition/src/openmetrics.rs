//! OpenMetrics 1.0.0.

use metrifold_merge::{Family, FamilyKind};

use crate::{
    escaping::{Escaping, NameOf, is_legacy},
    exemplar::ExemplarRules,
    names::FamilyNames,
    rows::{Role, metrics, sections},
    syntax,
    template::{Gap, Template},
};

/// The family as OpenMetrics.
///
/// The format demands names to go with types. Names are what dashboards are made of and the same in every format here,
/// so where the two disagree it is the type that yields: a counter without `_total` is `unknown`.
pub(crate) fn template(family: &Family, names: &FamilyNames, escaping: Escaping) -> Template {
    // Readers of this version do not all know quotes around the label names of exemplars.
    let escaping = if escaping == Escaping::AllowUtf8 { Escaping::Values } else { escaping };
    let mut template = Template::new(ExemplarRules { escaping, needs_time: false, is_short: true });
    match typed_name(family, names) {
        Some(name) => {
            metadata(&name, family.kind.name(), &family.unit, family, template.text());
            for metric in metrics(family, 0..family.series.len()) {
                append_metric(&name, &metric, family, names, &mut template);
            }
        }
        None => {
            for section in sections(family, names) {
                let kind = if family.kind == FamilyKind::StateSet { "gauge" } else { "unknown" };
                metadata(section.name, kind, "", family, template.text());
                for row in section.rows {
                    let (series, text) = (&family.series[row], template.text());
                    syntax::series(names, family.kind, section.name, series, None, text);
                    template.gap(Gap::Value(row));
                    template.text().push('\n');
                }
            }
        }
    }
    template.finish()
}

/// The name under which the family can have its type.
fn typed_name(family: &Family, names: &FamilyNames) -> Option<String> {
    let stem = |suffix: &str| {
        let mut shown = family.series.iter().map(|series| names.sample(&series.name));
        let stem = shown.next()?.strip_suffix(suffix)?;
        (!stem.is_empty() && shown.all(|name| name.strip_suffix(suffix) == Some(stem)))
            .then(|| stem.to_owned())
    };
    match family.kind {
        FamilyKind::Counter => stem("_total"),
        FamilyKind::Info => stem("_info"),
        FamilyKind::StateSet => {
            let is_stated = family.series.iter().all(|series| series.labels.get(&family.name).is_some());
            (is_stated && names.label(&family.name) == names.family).then(|| names.family.clone())
        }
        FamilyKind::Gauge | FamilyKind::Histogram | FamilyKind::Summary => Some(names.family.clone()),
    }
}

fn metadata(name: &str, kind: &str, unit: &str, family: &Family, text: &mut String) {
    syntax::metadata("TYPE", name, text);
    text.push_str(kind);
    text.push('\n');
    // A reader refuses the whole page for a unit that is no suffix.
    let is_suffix = name.strip_suffix(unit).is_some_and(|stem| stem.ends_with('_'));
    let has_unit = !matches!(family.kind, FamilyKind::Info | FamilyKind::StateSet);
    if has_unit && is_suffix && is_legacy(&format!("_{unit}"), NameOf::Metric) && !unit.is_empty() {
        syntax::metadata("UNIT", name, text);
        text.push_str(unit);
        text.push('\n');
    }
    syntax::metadata("HELP", name, text);
    syntax::escaped(&family.help, true, text);
    text.push('\n');
}

/// The lines of one label set, which stand together.
fn append_metric(
    name: &str,
    metric: &[usize],
    family: &Family,
    names: &FamilyNames,
    template: &mut Template,
) {
    let role = |row: &usize| Role::of(family, &family.series[*row]);
    let has = |wanted: Role| metric.iter().any(|row| role(row) == wanted);
    // With negative observations a sum is no counter, so the format has it only beside positive bounds, and the count only
    // beside the sum.
    let is_signed = metric.iter().any(|row| matches!(role(row), Role::Bucket(bound) if bound < 0.0));
    let shows_sum =
        family.kind != FamilyKind::Histogram || (has(Role::Sum) && has(Role::Count) && !is_signed);
    let is_shown = |row: &&usize| shows_sum || !matches!(role(row), Role::Sum | Role::Count);
    let mut shown = metric.iter().filter(is_shown).peekable();
    if shown.peek().is_none() {
        return;
    }
    while let Some(row) = shown.next() {
        sample(*row, family, names, template);
        if shown.peek().is_some() {
            template.text().push('\n');
        }
    }
    if !family.created.is_empty() {
        created_line(name, metric[0], family, names, template);
    }
    template.text().push('\n');
}

/// The line goes, with the line feed before it, where a metric's time of creation is not known.
fn created_line(name: &str, row: usize, family: &Family, names: &FamilyNames, template: &mut Template) {
    let own = match family.kind {
        FamilyKind::Counter => None,
        FamilyKind::Histogram => Some("le"),
        FamilyKind::Summary => Some("quantile"),
        FamilyKind::Gauge | FamilyKind::Info | FamilyKind::StateSet => return,
    };
    template.text().push('\n');
    let created = format!("{name}_created");
    syntax::series(names, family.kind, &created, &family.series[row], own, template.text());
    template.gap(Gap::Created(row));
}

/// A line without its end.
fn sample(row: usize, family: &Family, names: &FamilyNames, template: &mut Template) {
    let series = &family.series[row];
    syntax::series(names, family.kind, names.sample(&series.name), series, None, template.text());
    template.gap(Gap::Value(row));
    let may_have_exemplar = match Role::of(family, series) {
        Role::Value => family.kind == FamilyKind::Counter,
        Role::Bucket(_) => true,
        Role::Quantile(_) | Role::Sum | Role::Count => false,
    };
    if may_have_exemplar && !family.exemplars.is_empty() {
        template.gap(Gap::Exemplar(row));
    }
}
