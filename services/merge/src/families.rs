//! From the merged column to families: every name once, everything in order.

use std::collections::HashMap;

use crate::{
    ConflictReason, Family, FamilyKind,
    conflict::Conflicts,
    help::Helps,
    layout::{Layout, Shown, rank},
    table::{FamilyIndex, SeriesIndex, Table},
};

/// The layouts of the last view's families.
#[derive(Default)]
pub(crate) struct Layouts(HashMap<FamilyIndex, Layout>);

impl Layouts {
    /// The families of a merged column, sorted by name.
    pub(crate) fn families(
        &mut self,
        table: &Table,
        helps: &Helps,
        units: &Helps,
        conflicts: &mut Conflicts,
    ) -> Vec<Family> {
        self.update(table);
        for (family, layout) in &self.0 {
            for (reason, samples) in &layout.left_out {
                conflicts.count(&table.family_names[*family], reason.clone(), *samples);
            }
        }
        let mut families: Vec<_> = self
            .claims(table, conflicts)
            .into_iter()
            .map(|(family, shown)| Family {
                name: table.family_names[family].clone(),
                help: helps.get(family),
                kind: FamilyKind::from(shown.kind),
                series: shown.series.clone(),
                values: shown.values(&table.column),
                unit: units.get(family),
                created: shown.created(table),
                exemplars: shown.exemplars(table),
            })
            .collect();
        families.sort_by(|one, two| one.name.cmp(&two.name));
        families
    }

    /// Makes the layouts of families whose series came or went, and forgets those of families that went.
    fn update(&mut self, table: &Table) {
        let present: Vec<SeriesIndex> = table.present().collect();
        let mut former = std::mem::take(&mut self.0);
        for members in present.chunk_by(|one, two| table.series[*one].family == table.series[*two].family) {
            let family = table.series[members[0]].family;
            let layout = former.remove(&family).filter(|layout| layout.fits(table, family, members));
            self.0.insert(family, layout.unwrap_or_else(|| Layout::new(table, family, members)));
        }
    }

    /// The families that get their names, which they claim in order of kind and name.
    fn claims<'a>(&'a self, table: &'a Table, conflicts: &mut Conflicts) -> Vec<(FamilyIndex, &'a Shown)> {
        let mut claims: Vec<(FamilyIndex, &Shown)> =
            self.0.iter().filter_map(|(family, layout)| Some((*family, layout.shown.as_ref()?))).collect();
        let is_dead = |family, shown: &Shown| !table.is_living(family, shown.kind);
        claims.sort_by_key(|(family, shown)| {
            (is_dead(*family, shown), rank(shown.kind), &table.family_names[*family])
        });
        // By name, whether the living have it.
        let mut taken: HashMap<&str, bool> = HashMap::new();
        claims.retain(|(family, shown)| {
            let is_living = !is_dead(*family, shown);
            let of_others = |name: &&String| taken.contains_key(name.as_str());
            if let Some(name) = shown.exposed.iter().find(of_others) {
                // As for kinds: what the dead had must give way without a word.
                if is_living || !taken[name.as_str()] {
                    let reason = ConflictReason::NameTaken(name.clone());
                    conflicts.count(&table.family_names[*family], reason, shown.series.len());
                }
                return false;
            }
            taken.extend(shown.exposed.iter().map(|name| (name.as_str(), is_living)));
            true
        });
        claims
    }
}
