//! The encoders of a namespace.

use std::collections::HashMap;

use metrifold_exposition::{Encoder, Variant};
use metrifold_merge::View;
use parking_lot::Mutex;

/// Pages of other variants after which an encoder is forgotten, so that one curious scrape of each variant does not keep
/// the text of all labels in memory for good.
const IDLE_PAGES_MAX: u64 = 64;
/// Bytes set aside for a first page.
const PAGE_BYTES: usize = 4_096;

/// Prints pages, with the text of labels remembered from one to the next.
#[derive(Default)]
pub(crate) struct Press {
    encoders: Mutex<Encoders>,
}

#[derive(Default)]
struct Encoders {
    printed: u64,
    by_variant: HashMap<Variant, Used>,
}

struct Used {
    encoder: Encoder,
    last: u64,
    page_bytes: usize,
}

impl Press {
    /// The page of a view. One at a time: this is work for a processor, and two encoders would need the text twice.
    pub(crate) fn print(&self, view: &View, variant: Variant) -> Vec<u8> {
        let mut encoders = self.encoders.lock();
        encoders.printed += 1;
        let now = encoders.printed;
        encoders.by_variant.retain(|_, used| now - used.last <= IDLE_PAGES_MAX);
        let used = encoders.by_variant.entry(variant).or_insert_with(|| Used {
            encoder: Encoder::new(variant),
            last: now,
            page_bytes: PAGE_BYTES,
        });
        used.last = now;
        let mut page = Vec::with_capacity(used.page_bytes);
        let left_out = used.encoder.encode(view, &mut page);
        used.page_bytes = page.len();
        if left_out > 0 {
            let escaping = variant.escaping().name();
            tracing::warn!(
                left_out,
                escaping,
                "families are left out of a page: escaped, their names are others'"
            );
        }
        page
    }
}
