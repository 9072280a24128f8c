//! A node's model repository as Triton's HTTP API shows it.

use gpuwarden_agent::sample::{Moment, RepositoryEntry, RepositoryState};
use gpuwarden_proto::vocab::ModelVersion;
use serde_json::{Value, json};

use crate::model::{Life, SimModel};
use crate::node::SimNode;

/// The simulated server.
pub const SERVER_VERSION: &str = "2.51.0";

impl SimNode {
    /// The answer to `GET /v2`.
    pub fn server_metadata(&self) -> String {
        json!({
            "name": "triton",
            "version": SERVER_VERSION,
            "extensions": ["model_repository", "model_configuration", "statistics"],
        })
        .to_string()
    }

    /// The answer to `POST /v2/repository/index` at `now`.
    pub fn repository_index(&mut self, now: Moment) -> String {
        self.advance(now);
        let entry = |entry: RepositoryEntry| {
            let version = entry.version.as_ref().map(ModelVersion::as_str);
            let mut row = json!({
                "name": entry.model, "version": version, "state": state_word(entry.state),
            });
            if !entry.reason.is_empty() {
                row["reason"] = Value::from(entry.reason);
            }
            row
        };
        Value::from_iter(self.repository_entries().into_iter().map(entry)).to_string()
    }

    /// The same, parsed; by name.
    pub fn repository_entries(&self) -> Vec<RepositoryEntry> {
        let entry = |model: &SimModel| {
            let (state, reason) = model.life.in_index();
            RepositoryEntry {
                model: model.spec.name.clone(),
                version: Some(model.spec.version.clone()),
                state,
                reason: reason.to_owned(),
            }
        };
        let mut entries: Vec<_> = self.models.iter().map(entry).collect();
        entries.sort_by(|a, b| a.model.cmp(&b.model));
        entries
    }

    /// The answer to `GET /v2/models/NAME/config`; `None` for a model that is not loaded.
    pub fn model_config(&self, name: &str) -> Option<String> {
        let spec = &self.loaded(name)?.spec;
        let policy = match spec.max_queue {
            Some(max) => json!({ "max_queue_size": max }),
            None => json!({}),
        };
        let config = json!({
            "name": spec.name,
            "platform": "onnxruntime_onnx",
            "backend": "onnxruntime",
            "max_batch_size": spec.max_batch,
            "dynamic_batching": { "default_queue_policy": policy },
            "instance_group": [{
                "name": format!("{}_0", spec.name),
                "kind": "KIND_GPU",
                "count": spec.instances,
                "gpus": [spec.gpu],
            }],
        });
        Some(config.to_string())
    }

    /// Whether `GET /v2/models/NAME/ready` answers 200.
    pub fn model_ready(&self, name: &str) -> bool {
        self.loaded(name).is_some_and(|model| model.life == Life::Ready)
    }

    /// Whether `GET /v2/health/ready` answers 200: strict readiness looks at every model, but not
    /// at those that somebody unloaded.
    pub fn server_ready(&self) -> bool {
        let fine = |model: &SimModel| matches!(model.life, Life::Ready | Life::Unloaded);
        self.models.iter().all(fine)
    }

    fn loaded(&self, name: &str) -> Option<&SimModel> {
        self.models.iter().find(|m| m.spec.name.as_str() == name && m.life.on_page())
    }
}

fn state_word(state: RepositoryState) -> Option<&'static str> {
    match state {
        RepositoryState::Ready => Some("READY"),
        RepositoryState::Unavailable => Some("UNAVAILABLE"),
        RepositoryState::Loading => Some("LOADING"),
        RepositoryState::Unloading => Some("UNLOADING"),
        RepositoryState::Untouched => None,
    }
}
