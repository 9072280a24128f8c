//! `TopologyService`: what stands where and what depends on what.

use gpuwarden_proto::pb;
use gpuwarden_proto::pb::topology_service_server::TopologyService;
use gpuwarden_proto::vocab::EntityKind;
use tonic::{Request, Response, Status};

use super::{Answer, fitting, status};
use crate::graph::LEVELS;
use crate::query::Desk;

/// The longest name that is looked for, in bytes: a node, a server, a model and its version.
const NAME_MAX_BYTES: usize = 1024;

/// `TopologyService`.
#[derive(Debug)]
pub struct Topology(pub Desk);

#[tonic::async_trait]
impl TopologyService for Topology {
    async fn get_tree(&self, request: Request<pb::GetTreeRequest>) -> Answer<pb::GetTreeResponse> {
        let deepest = deepest(&request.into_inner().depth)?;
        let branches = self.0.tree(deepest).await.map_err(status)?;
        let all = branches.len();
        let branches = fitting(branches.into_iter().map(Into::into));
        let truncated = branches.len() < all;
        Ok(Response::new(pb::GetTreeResponse { branches, truncated }))
    }

    async fn get_portrait(
        &self,
        request: Request<pb::GetPortraitRequest>,
    ) -> Answer<pb::GetPortraitResponse> {
        let name = request.into_inner().name;
        if name.is_empty() || name.len() > NAME_MAX_BYTES {
            let fault = format!("a name of 1 to {NAME_MAX_BYTES} bytes is needed");
            return Err(Status::invalid_argument(fault));
        }
        let portrait = self.0.portrait(name).await.map_err(status)?;
        Ok(Response::new(pb::GetPortraitResponse { portrait: Some(portrait.into()) }))
    }
}

fn deepest(word: &str) -> Result<EntityKind, Status> {
    if word.is_empty() {
        return Ok(EntityKind::Rack);
    }
    let known = LEVELS.into_iter().find(|kind| kind.as_str() == word);
    let words = LEVELS.map(EntityKind::as_str).join(", ");
    known.ok_or_else(|| Status::invalid_argument(format!("`{word}` is no depth (one of: {words})")))
}
