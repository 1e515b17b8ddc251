//! Views to pages, with what is worth remembering from one to the next.

use std::{collections::HashMap, sync::Arc};

use metrifold_merge::{Family, FamilyKind, Series, View};

use crate::{
    Escaping, Format, Variant,
    names::{FamilyNames, claim},
    openmetrics, openmetrics2,
    protobuf::{Messages, Scratch},
    template::Template,
    text,
};

/// Appends a view's page; the number of families that could not be shown, see [`Encoder::encode`].
pub fn encode(view: &View, variant: Variant, out: &mut Vec<u8>) -> usize {
    Encoder::new(variant).encode(view, out)
}

/// Encodes view after view of one [`Merger`](metrifold_merge::Merger): what stands before the values is remembered
/// while a family's series and metadata stay the same. The bytes are those of [`encode`].
#[derive(Debug)]
pub struct Encoder {
    variant: Variant,
    families: HashMap<String, Remembered>,
    scratch: Scratch,
}

/// A family's page without its values, and what it was made from.
#[derive(Debug)]
struct Remembered {
    series: Arc<[Series]>,
    help: Arc<str>,
    unit: Arc<str>,
    kind: FamilyKind,
    escaping: Escaping,
    has_created: bool,
    has_exemplars: bool,
    page: FamilyPage,
}

#[derive(Debug)]
enum FamilyPage {
    Text(Template),
    Messages(Messages),
}

impl Encoder {
    /// An encoder that remembers nothing yet.
    pub fn new(variant: Variant) -> Encoder {
        Encoder { variant, families: HashMap::new(), scratch: Scratch::default() }
    }

    /// Appends the whole page. Returns how many families are left out because their names are, escaped, another's: it
    /// takes a metric that is really called as [`Escaping::Values`] would call another.
    pub fn encode(&mut self, view: &View, out: &mut Vec<u8>) -> usize {
        let schemes = claim(view, self.variant.escaping());
        let mut former = std::mem::take(&mut self.families);
        for (family, escaping) in view.families.iter().zip(&schemes) {
            let Some(escaping) = *escaping else { continue };
            let page = former.remove(&family.name).filter(|page| page.fits(family, escaping));
            let page = page.unwrap_or_else(|| Remembered::new(family, escaping, self.variant.format()));
            match &page.page {
                FamilyPage::Text(template) => template.append(family, out),
                FamilyPage::Messages(messages) => messages.append(family, &mut self.scratch, out),
            }
            self.families.insert(family.name.clone(), page);
        }
        if matches!(self.variant.format(), Format::OpenMetrics1 | Format::OpenMetrics2) {
            out.extend_from_slice(b"# EOF\n");
        }
        schemes.iter().filter(|scheme| scheme.is_none()).count()
    }
}

impl Remembered {
    fn new(family: &Family, escaping: Escaping, format: Format) -> Remembered {
        let names = FamilyNames::new(family, escaping);
        let page = match format {
            Format::Text | Format::Text1 => FamilyPage::Text(text::template(family, &names)),
            Format::OpenMetrics1 => FamilyPage::Text(openmetrics::template(family, &names, escaping)),
            Format::OpenMetrics2 => FamilyPage::Text(openmetrics2::template(family, &names, escaping)),
            Format::Protobuf => FamilyPage::Messages(Messages::new(family, &names, escaping)),
        };
        Remembered {
            series: family.series.clone(),
            help: family.help.clone(),
            unit: family.unit.clone(),
            kind: family.kind,
            escaping,
            has_created: !family.created.is_empty(),
            has_exemplars: !family.exemplars.is_empty(),
            page,
        }
    }

    fn fits(&self, family: &Family, escaping: Escaping) -> bool {
        Arc::ptr_eq(&self.series, &family.series)
            && (self.kind, self.escaping) == (family.kind, escaping)
            && self.help == family.help
            && self.unit == family.unit
            && self.has_created != family.created.is_empty()
            && self.has_exemplars != family.exemplars.is_empty()
    }
}
