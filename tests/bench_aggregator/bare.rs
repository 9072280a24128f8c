//! The limits: a stream that acknowledges what it has not read, and a store that is handed batches.

use std::net::SocketAddr;
use std::path::Path;
use std::time::{Duration, Instant};

use gpuwarden_proto::pb;
use gpuwarden_proto::pb::uplink_service_server::{UplinkService, UplinkServiceServer};
use gpuwarden_proto::uplink::{Entry, ToNode};
use gpuwarden_proto::vocab::Seq;
use prost::Message as _;
use tokio::sync::mpsc;
use tokio_stream::StreamExt as _;
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Request, Response, Status, Streaming};

use crate::Failure;
use crate::figures::Course;
use crate::load::{Shape, batch};

/// Batches of one transaction, as many as gather while another is synced.
const TRANSACTION_BATCHES: usize = 32;

struct Bare;

#[tonic::async_trait]
impl UplinkService for Bare {
    type SessionStream = ReceiverStream<Result<pb::SessionResponse, Status>>;

    async fn session(
        &self,
        request: Request<Streaming<pb::SessionRequest>>,
    ) -> Result<Response<Self::SessionStream>, Status> {
        let mut incoming = request.into_inner();
        let (send, outgoing) = mpsc::channel(4);
        tokio::spawn(async move {
            while let Some(Ok(message)) = incoming.next().await {
                let Some(pb::session_request::Message::Batch(batch)) = message.message else {
                    continue;
                };
                let acked_seq = Seq(batch.entries.last().map_or(0, |entry| entry.seq));
                let ack = ToNode::Ack { acked_seq, rejected: Vec::new() };
                if send.send(Ok(ack.into())).await.is_err() {
                    return;
                }
            }
        });
        Ok(Response::new(ReceiverStream::new(outgoing)))
    }
}

/// Serves until the process is ended.
pub(crate) async fn serve(address: SocketAddr) -> Result<(), Failure> {
    tonic::transport::Server::builder()
        .add_service(UplinkServiceServer::new(Bare))
        .serve(address)
        .await?;
    Ok(())
}

/// Rows of whole batches, synced with every transaction.
pub(crate) fn store(folder: &Path, shape: Shape, lasting: Duration) -> Result<Course, Failure> {
    let mut file = rusqlite::Connection::open(folder.join("bare.db"))?;
    file.pragma_update(None, "journal_mode", "WAL")?;
    file.pragma_update(None, "synchronous", "FULL")?;
    file.execute_batch("CREATE TABLE batch (node TEXT, first_seq INTEGER, payload BLOB)")?;
    let entry = |(nth, event)| Entry { seq: Seq(1 + nth as u64), event }.into();
    let events = batch(shape.batch_events, true);
    let entries = events.into_iter().enumerate().map(entry).collect();
    let payload = pb::EventBatch { entries }.encode_to_vec();
    let (began, mut batches) = (Instant::now(), 0);
    while began.elapsed() < lasting {
        let transaction = file.transaction()?;
        for _ in 0..TRANSACTION_BATCHES {
            let node = format!("node-{:05}", batches % shape.nodes);
            transaction.prepare_cached("INSERT INTO batch VALUES (?1, ?2, ?3)")?.execute((
                node,
                batches as i64,
                &payload,
            ))?;
            batches += 1;
        }
        transaction.commit()?;
    }
    Ok(Course { events: batches * shape.batch_events, lasted: began.elapsed(), acks: Vec::new() })
}
