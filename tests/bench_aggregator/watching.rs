//! Somebody who watches incidents over gRPC.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use gpuwarden_proto::pb;
use gpuwarden_proto::pb::incident_service_client::IncidentServiceClient;
use tokio::task::JoinHandle;
use tonic::transport::{Channel, Endpoint};

use crate::Failure;

/// The largest answer that is taken, as the command line has it.
const ANSWER_MAX_BYTES: usize = 64 * 1024 * 1024;
/// How long it takes to watch again.
const AGAIN: Duration = Duration::from_millis(10);

/// A client of the incidents, which waits for the first answer as long as it takes.
pub(crate) async fn client(address: SocketAddr) -> Result<IncidentServiceClient<Channel>, Failure> {
    let channel = Endpoint::from_shared(format!("http://{address}"))?.connect().await?;
    Ok(IncidentServiceClient::new(channel).max_decoding_message_size(ANSWER_MAX_BYTES))
}

/// A watch that goes on, and is begun again whenever it was dropped.
pub(crate) struct Watching {
    task: JoinHandle<()>,
    begun: Arc<AtomicUsize>,
}

impl Watching {
    /// How often it was dropped because it fell behind.
    pub(crate) fn dropped(&self) -> usize {
        self.begun.load(Ordering::Relaxed).saturating_sub(1)
    }
}

impl Drop for Watching {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// Watches; `on` is told of each update and when it came.
pub(crate) async fn watch(
    address: SocketAddr,
    mut on: impl FnMut(Instant, &pb::WatchIncidentsResponse) + Send + 'static,
) -> Result<Watching, Failure> {
    let mut client = client(address).await?;
    let first = client.watch_incidents(pb::WatchIncidentsRequest {}).await?.into_inner();
    let begun = Arc::new(AtomicUsize::new(1));
    let count = Arc::clone(&begun);
    let task = tokio::spawn(async move {
        let mut updates = first;
        loop {
            while let Ok(Some(update)) = updates.message().await {
                on(Instant::now(), &update);
            }
            updates = loop {
                match client.watch_incidents(pb::WatchIncidentsRequest {}).await {
                    Ok(again) => break again.into_inner(),
                    Err(_) => tokio::time::sleep(AGAIN).await,
                }
            };
            count.fetch_add(1, Ordering::Relaxed);
        }
    });
    Ok(Watching { task, begun })
}
