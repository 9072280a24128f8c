//! The edge to the nodes: `UplinkService.Session`.
//!
//! Owns the conversation with one node: hello, welcome, credit, the check of each event, and
//! acknowledgements, which the core sends when the commit is done. Never touches the state. A stream
//! that has to wait for room waits alone.

mod admit;
mod session;

use std::pin::Pin;
use std::sync::Arc;

use futures_util::Stream;
use gpuwarden_proto::pb;
use gpuwarden_proto::pb::uplink_service_server::{UplinkService, UplinkServiceServer};
use gpuwarden_proto::uplink::{MESSAGE_MAX_BYTES, ToNode};
use gpuwarden_proto::vocab::NodeId;
use tokio::sync::{mpsc, oneshot};
use tonic::{Response, Status, Streaming};

pub use admit::Times;

use crate::clock::Clock;
use crate::config::Config;
use crate::core::{Arrived, Request};
use crate::status::Metrics;

/// Messages to one node that may wait. More than its credit of batches can ever bring about.
const OUTBOX_MAX: usize = 64;
/// A message up to this size is read, so that what is too large in it can be refused by itself.
const READ_MAX_BYTES: usize = 4 * MESSAGE_MAX_BYTES;

/// The name in a client's certificate, put into a request's extensions by the transport. Where it is,
/// a stream may speak for that node only.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CertifiedNode(pub NodeId);

/// What all streams share.
#[derive(Debug)]
pub struct Ingest {
    /// Settings.
    pub config: Arc<Config>,
    /// The clock.
    pub clock: Clock,
    /// Our own numbers.
    pub metrics: Arc<Metrics>,
    /// Times that events may tell of.
    pub times: Times,
    /// Events to the core.
    pub batches: mpsc::Sender<Arrived>,
    /// All else to the core.
    pub requests: mpsc::Sender<Request>,
}

impl Ingest {
    async fn ask(&self, request: Request) -> Result<(), Status> {
        let stopped = |_| Status::unavailable("the aggregator stops; connect again");
        self.requests.send(request).await.map_err(stopped)
    }

    /// The gRPC service.
    #[must_use]
    pub fn service(self) -> UplinkServiceServer<Uplink> {
        UplinkServiceServer::new(Uplink(Arc::new(self)))
            .max_decoding_message_size(READ_MAX_BYTES)
            .max_encoding_message_size(READ_MAX_BYTES)
    }
}

/// `UplinkService`.
#[derive(Debug)]
pub struct Uplink(Arc<Ingest>);

#[tonic::async_trait]
impl UplinkService for Uplink {
    type SessionStream = Pin<Box<dyn Stream<Item = Result<pb::SessionResponse, Status>> + Send>>;

    async fn session(
        &self,
        request: tonic::Request<Streaming<pb::SessionRequest>>,
    ) -> Result<Response<Self::SessionStream>, Status> {
        let certified = request.extensions().get::<CertifiedNode>().map(|node| node.0.clone());
        let (outbox, to_node) = mpsc::channel(OUTBOX_MAX);
        let (last, last_word) = oneshot::channel();
        let (ingest, from) = (Arc::clone(&self.0), request.into_inner());
        tokio::spawn(async move {
            if let Err(status) = session::serve(ingest, from, certified, outbox).await {
                // The node may be gone.
                drop(last.send(status));
            }
        });
        Ok(Response::new(Box::pin(replies(to_node, last_word))))
    }
}

/// What goes to the node: messages as they come, and at the end the last word, if there is one.
fn replies(
    to_node: mpsc::Receiver<ToNode>,
    last_word: oneshot::Receiver<Status>,
) -> impl Stream<Item = Result<pb::SessionResponse, Status>> {
    futures_util::stream::unfold(Some((to_node, last_word)), async |state| {
        let (mut to_node, mut last_word) = state?;
        let message = tokio::select! {
            biased;
            message = to_node.recv() => message,
            Ok(status) = &mut last_word => return Some((Err(status), None)),
        };
        match message {
            Some(message) => Some((Ok(message.into()), Some((to_node, last_word)))),
            None => last_word.await.ok().map(|status| (Err(status), None)),
        }
    })
}

#[cfg(test)]
mod tests;
