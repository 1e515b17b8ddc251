//! The pages of one read.

use std::{
    collections::{BTreeSet, HashMap, HashSet},
    sync::Arc,
};

use axum::body::{Body, Bytes};
use metrifold_exposition::{Coding, Variant, encode, filter};
use metrifold_merge::View;
use parking_lot::Mutex;
use tokio::sync::OnceCell;

use crate::{ScrapeError, compression::Compressed, press::Press};

/// What makes two pages of one view differ.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub(crate) struct PageKey {
    pub(crate) variant: Variant,
    /// The names of `?name[]=`; empty for the whole view.
    pub(crate) names: BTreeSet<String>,
}

/// A view and those of its pages that somebody asked for. It lives as long as the scrapes that share it.
pub(crate) struct Pages {
    view: Arc<View>,
    press: Arc<Press>,
    pages: Mutex<HashMap<PageKey, Arc<Page>>>,
}

/// One page, as it is and compressed.
#[derive(Default)]
struct Page {
    plain: OnceCell<Bytes>,
    gzip: OnceCell<Compressed>,
    zstd: OnceCell<Compressed>,
}

impl Pages {
    pub(crate) fn new(view: Arc<View>, press: Arc<Press>) -> Pages {
        Pages { view, press, pages: Mutex::default() }
    }

    /// A page as it is.
    pub(crate) async fn plain(&self, key: PageKey) -> Result<Bytes, ScrapeError> {
        let page = self.page(&key);
        page.plain.get_or_try_init(|| self.print(key)).await.cloned()
    }

    /// A page as a body; compressed, it is sent while it is being made.
    pub(crate) async fn body(&self, key: PageKey, coding: Coding) -> Result<Body, ScrapeError> {
        let page = self.page(&key);
        let plain = self.plain(key).await?;
        let compressed = match coding {
            Coding::Identity => return Ok(Body::from(plain)),
            Coding::Gzip => &page.gzip,
            Coding::Zstd => &page.zstd,
        };
        let compressed = compressed.get_or_init(async || Compressed::begin(plain, coding)).await;
        Ok(Body::from_stream(compressed.chunks()))
    }

    fn page(&self, key: &PageKey) -> Arc<Page> {
        self.pages.lock().entry(key.clone()).or_default().clone()
    }

    async fn print(&self, key: PageKey) -> Result<Bytes, ScrapeError> {
        let (view, press) = (self.view.clone(), self.press.clone());
        let printed = tokio::task::spawn_blocking(move || {
            if key.names.is_empty() {
                return press.print(&view, key.variant);
            }
            let names: HashSet<String> = key.names.into_iter().collect();
            let mut page = Vec::new();
            encode(&filter(&view, &names, key.variant.format()), key.variant, &mut page);
            page
        });
        printed.await.map(Bytes::from).map_err(|_| ScrapeError::Broken)
    }
}
