//! What people's calls pass through and nodes' streams do not: so many at one time, so long for each.
//! A flood of questions is turned away here, so that it takes neither the core's time nor the way to
//! it from the nodes.

use std::error::Error;
use std::sync::Arc;
use std::time::Duration;

use tonic::Status;
use tonic::body::Body;
use tonic::codegen::{Service, http};
use tower::load_shed::error::Overloaded;
use tower::timeout::error::Elapsed;
use tower::util::BoxCloneSyncService;
use tower::{BoxError, ServiceBuilder, ServiceExt};

use crate::status::Metrics;

type Reply = http::Response<Body>;

/// How much people may ask.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Bounds {
    /// Calls that are not answered yet. A watch counts until it begins; how many watch is bounded by
    /// itself.
    pub calls: usize,
    /// From a call to the head of its answer, so that a watch may last.
    pub answer_within: Duration,
}

impl Default for Bounds {
    fn default() -> Self {
        // A quarter of what fits between the edges and the core; the rest is for the nodes.
        Self { calls: 64, answer_within: Duration::from_secs(10) }
    }
}

/// The gate before a service. Clones are the same gate.
#[derive(Debug, Clone)]
pub(super) struct Gate {
    service: BoxCloneSyncService<http::Request<Body>, Reply, BoxError>,
    bounds: Bounds,
    metrics: Arc<Metrics>,
}

impl Gate {
    /// Puts a gate before a service.
    pub(super) fn before<S>(service: S, bounds: Bounds, metrics: Arc<Metrics>) -> Self
    where
        S: Service<http::Request<Body>, Response = Reply> + Clone + Send + Sync + 'static,
        S::Error: Into<BoxError>,
        S::Future: Send,
    {
        let service = ServiceBuilder::new()
            .load_shed()
            .concurrency_limit(bounds.calls)
            .timeout(bounds.answer_within)
            .service(service);
        Self { service: BoxCloneSyncService::new(service), bounds, metrics }
    }

    /// Takes a call through, or answers it here.
    pub(super) async fn pass(self, call: http::Request<Body>) -> Reply {
        let Self { service, bounds, metrics } = self;
        let answer = service.oneshot(call).await;
        answer.unwrap_or_else(|error| turned_away(&*error, bounds, &metrics).into_http())
    }
}

fn turned_away(error: &(dyn Error + 'static), bounds: Bounds, metrics: &Metrics) -> Status {
    let Bounds { calls, answer_within } = bounds;
    if error.is::<Overloaded>() {
        metrics.calls_shed.inc();
        let words = format!("more than {calls} calls at one time; try again");
        return Status::resource_exhausted(words);
    }
    if error.is::<Elapsed>() {
        metrics.calls_late.inc();
        let seconds = answer_within.as_secs_f64();
        return Status::deadline_exceeded(format!(
            "no answer within {seconds} s; what was asked for may have been done all the same: look, \
             then try again"
        ));
    }
    Status::internal(error.to_string())
}

#[cfg(test)]
mod tests {
    use gpuwarden_proto::pb;
    use gpuwarden_proto::pb::fleet_service_client::FleetServiceClient;
    use gpuwarden_proto::pb::incident_service_client::IncidentServiceClient;
    use gpuwarden_proto::pb::uplink_service_client::UplinkServiceClient;
    use gpuwarden_proto::uplink::{FromNode, Hello};
    use gpuwarden_proto::vocab::{Epoch, Seq};
    use tokio::sync::mpsc;
    use tonic::Code;

    use super::*;
    use crate::clock::Clock;
    use crate::config::Config;
    use crate::core::Request;
    use crate::ingest::{Ingest, Times};
    use crate::query::Desk;
    use crate::service::Routes;
    use crate::store::{MemoryStore, Store};
    use crate::testing::node;
    use crate::watch::Board;

    /// All services as they are, before a core that answers when the test does.
    struct Edge {
        routes: Routes,
        metrics: Arc<Metrics>,
        asked: mpsc::Receiver<Request>,
    }

    impl Edge {
        fn with(calls: usize) -> Self {
            let (batches, _) = mpsc::channel(1);
            let (requests, asked) = mpsc::channel(256);
            let config = Arc::new(Config::default());
            let times = Times { max_age: config.event_max_age, max_ahead: config.event_max_ahead };
            let metrics = Arc::<Metrics>::default();
            let desk = Desk::new(requests.clone(), MemoryStore::default().history().unwrap());
            let shared = Arc::clone(&metrics);
            let clock = Clock::System;
            let ingest = Ingest { config, clock, metrics: shared, times, batches, requests };
            let routes = Routes::new(ingest, desk, Bounds { calls, ..Bounds::default() });
            Self { routes, metrics, asked }
        }

        /// A question that the core has not answered yet.
        async fn held_up(&mut self) -> (Nodes, HeldUp) {
            let question = tokio::spawn(list_nodes(self.routes.clone()));
            match self.asked.recv().await {
                Some(Request::Nodes(answer)) => (answer, question),
                other => panic!("{other:?}"),
            }
        }
    }

    type Nodes = tokio::sync::oneshot::Sender<Vec<gpuwarden_proto::fleet::Node>>;
    type HeldUp = tokio::task::JoinHandle<Result<(), Status>>;

    async fn list_nodes(routes: Routes) -> Result<(), Status> {
        FleetServiceClient::new(routes).list_nodes(pb::ListNodesRequest {}).await.map(drop)
    }

    async fn list_incidents(routes: Routes) -> Result<(), Status> {
        let ask = pb::ListIncidentsRequest::default();
        IncidentServiceClient::new(routes).list_incidents(ask).await.map(drop)
    }

    #[tokio::test]
    async fn a_call_too_many_is_turned_away_and_counted_until_another_is_answered() {
        let mut edge = Edge::with(1);
        let (answer, question) = edge.held_up().await;
        for turned_away in 1..=2 {
            let refused = list_incidents(edge.routes.clone()).await.unwrap_err();
            assert_eq!(refused.code(), Code::ResourceExhausted);
            assert_eq!(refused.message(), "more than 1 calls at one time; try again");
            assert_eq!(edge.metrics.calls_shed.get(), turned_away);
        }
        answer.send(Vec::new()).unwrap();
        question.await.unwrap().unwrap();
        let (answer, question) = edge.held_up().await;
        answer.send(Vec::new()).unwrap();
        question.await.unwrap().unwrap();
        let page = edge.metrics.page().unwrap();
        assert!(page.contains("gpuwarden_aggregator_calls_shed_total 2\n"), "{page}");
    }

    #[tokio::test]
    async fn nodes_are_heard_while_people_are_turned_away() {
        let mut edge = Edge::with(1);
        let _held_up = edge.held_up().await;
        list_incidents(edge.routes.clone()).await.unwrap_err();
        let hello = Hello {
            node: node("node-a"),
            epoch: Epoch(7),
            next_seq: Seq(1),
            agent_version: "0.1.0".to_owned(),
            boot_id: String::new(),
        };
        let stream = tokio_stream::iter([pb::SessionRequest::from(FromNode::Hello(hello))]);
        let mut client = UplinkServiceClient::new(edge.routes.clone());
        let _session = client.session(stream).await.unwrap();
        let heard = edge.asked.recv().await;
        assert!(matches!(heard, Some(Request::Hello(..))), "{heard:?}");
    }

    #[tokio::test(start_paused = true)]
    async fn an_answer_that_does_not_come_is_given_up_in_words() {
        let mut edge = Edge::with(1);
        let (_answer, question) = edge.held_up().await;
        let late = question.await.unwrap().unwrap_err();
        assert_eq!(late.code(), Code::DeadlineExceeded);
        assert_eq!(
            late.message(),
            "no answer within 10 s; what was asked for may have been done all the same: look, then \
             try again"
        );
        assert_eq!((edge.metrics.calls_late.get(), edge.metrics.calls_shed.get()), (1, 0));
    }

    #[tokio::test(start_paused = true)]
    async fn a_watch_lasts_and_takes_nobodys_place() {
        let mut edge = Edge::with(1);
        let mut client = IncidentServiceClient::new(edge.routes.clone());
        let ask = pb::WatchIncidentsRequest {};
        let begun = tokio::spawn(async move { client.watch_incidents(ask).await });
        let Some(Request::Watch(answer)) = edge.asked.recv().await else { panic!("no watch") };
        let mut board = Board::default();
        answer.send(board.watch()).unwrap();
        let mut watch = begun.await.unwrap().unwrap().into_inner();
        tokio::time::sleep(10 * Bounds::default().answer_within).await;
        let (answer, question) = edge.held_up().await;
        answer.send(Vec::new()).unwrap();
        question.await.unwrap().unwrap();
        drop(board);
        let end = watch.message().await.unwrap_err();
        assert_eq!(end.message(), "the aggregator stops; watch again");
    }
}
