//! Whether a model serves, and what becomes of it by itself.

use gpuwarden_agent::sample::{Moment, RepositoryState};

/// Where a model stands in its life.
///
/// ```text
/// Ready --unload--> Unloading --1.5 s--> Unloaded | Failed --load--> Loading --2 s--> Ready
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Life {
    /// It serves.
    #[default]
    Ready,
    /// On its way in.
    Loading {
        /// When it will serve.
        until: Moment,
    },
    /// On its way out; its rows are still on the page.
    Unloading {
        /// When its rows vanish.
        until: Moment,
        /// Why the load that follows will fail; `None` when nobody tries.
        reason: Option<String>,
    },
    /// Somebody unloaded it.
    Unloaded,
    /// It could not be loaded.
    Failed {
        /// The server's words.
        reason: String,
    },
}

impl Life {
    /// When it changes by itself.
    pub fn until(&self) -> Option<Moment> {
        match self {
            Self::Loading { until } | Self::Unloading { until, .. } => Some(*until),
            Self::Ready | Self::Unloaded | Self::Failed { .. } => None,
        }
    }

    /// What becomes of it by itself.
    pub(super) fn next(self) -> Self {
        match self {
            Self::Loading { .. } => Self::Ready,
            Self::Unloading { reason: Some(reason), .. } => Self::Failed { reason },
            Self::Unloading { reason: None, .. } => Self::Unloaded,
            stays @ (Self::Ready | Self::Unloaded | Self::Failed { .. }) => stays,
        }
    }

    /// Whether its rows are on the metrics page.
    pub fn on_page(&self) -> bool {
        matches!(self, Self::Ready | Self::Unloading { .. })
    }

    /// As the repository index names it, with the server's words.
    pub fn in_index(&self) -> (RepositoryState, &str) {
        match self {
            Self::Ready => (RepositoryState::Ready, ""),
            Self::Loading { .. } => (RepositoryState::Loading, ""),
            Self::Unloading { .. } => (RepositoryState::Unloading, ""),
            Self::Unloaded => (RepositoryState::Unavailable, "unloaded"),
            Self::Failed { reason } => (RepositoryState::Unavailable, reason),
        }
    }
}
