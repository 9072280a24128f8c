//! Whether a page shows something that the repository should be asked about at once.

use gpuwarden_proto::vocab::{ModelName, ModelVersion};

use super::page::Page;
use crate::sample::Outage;

/// The last page, as far as it is compared with the next.
#[derive(Debug, Default)]
pub struct News {
    models: Vec<(ModelName, ModelVersion)>,
    left_behind: Vec<ModelName>,
    pending: f64,
}

impl News {
    /// Whether this page is news: it failed, models came or went or left only failures behind, or
    /// more requests wait than before.
    pub fn in_page(&mut self, page: &Result<Page, Outage>) -> bool {
        let Ok(page) = page else { return true };
        let pending = page.models.iter().filter_map(|sample| sample.pending).sum();
        let same_models = self
            .models
            .iter()
            .map(|(model, version)| (model, version))
            .eq(page.models.iter().map(|sample| (&sample.model, &sample.version)));
        let news = !same_models || self.left_behind != page.left_behind || pending > self.pending;
        if !same_models {
            self.models =
                page.models.iter().map(|s| (s.model.clone(), s.version.clone())).collect();
        }
        self.left_behind.clone_from(&page.left_behind);
        self.pending = pending;
        news
    }

    /// The models of the last page that could be read.
    pub fn models(&self) -> &[(ModelName, ModelVersion)] {
        &self.models
    }
}

#[cfg(test)]
mod tests {
    use super::super::page;
    use super::*;

    fn page(text: &str) -> Result<Page, Outage> {
        Ok(page::parse(text.as_bytes()))
    }

    const ONE: &str = "nv_inference_pending_request_count{model=\"m\",version=\"1\"} 1\n";
    const TWO_WAIT: &str = "nv_inference_pending_request_count{model=\"m\",version=\"1\"} 2\n";
    const ONE_AND_FAILURES: &str = "nv_inference_pending_request_count{model=\"m\",version=\"1\"} 1\n\
        nv_inference_request_failure{model=\"n\",version=\"1\",reason=\"OTHER\"} 0\n";

    #[test]
    fn the_same_again_is_no_news() {
        let mut news = News::default();
        assert!(news.in_page(&page(ONE)));
        assert!(!news.in_page(&page(ONE)));
    }

    #[test]
    fn comings_goings_failures_and_longer_queues_are_news() {
        let mut news = News::default();
        let failed = Err(Outage::Refused(String::new()));
        news.in_page(&page(ONE));
        assert!(news.in_page(&page(TWO_WAIT)));
        assert!(!news.in_page(&page(ONE)), "a shorter queue is none");
        assert!(news.in_page(&page(ONE_AND_FAILURES)));
        assert!(!news.in_page(&page(ONE_AND_FAILURES)));
        assert!(news.in_page(&failed));
        assert!(!news.in_page(&page(ONE_AND_FAILURES)));
        assert!(news.in_page(&page("")));
        assert!(news.models().is_empty());
    }
}
