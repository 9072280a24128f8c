//! Triton servers and the aggregator, over the network.

use tokio::net::TcpStream;
use tokio::time;

use super::Check;
use super::http::{self, Answer};
use crate::config::{TritonConfig, UplinkConfig};

pub(super) async fn examine_server(server: &TritonConfig) -> Vec<Check> {
    let area = format!("triton {}", server.name);
    let metrics = http::get(&server.metrics, server.timeout).await;
    let mut checks = examine_metrics(&area, server, metrics);
    let index = format!("{}/v2/repository/index", server.http.trim_end_matches('/'));
    let index = http::post(&index, "{}", server.timeout).await;
    checks.push(examine_index(&area, server, index));
    checks
}

fn examine_metrics(area: &str, server: &TritonConfig, page: Result<Answer, String>) -> Vec<Check> {
    let url = &server.metrics;
    let page = match page {
        Ok(page) if page.status == 200 && page.body.contains("nv_") => page.body,
        Ok(page) => {
            let finding = format!("{url} answers {}, but not with Triton's metrics", page.status);
            let remedy = "`metrics` must be the page itself, usually http://HOST:8002/metrics";
            return vec![Check::bad(area, finding, remedy)];
        }
        Err(why) => {
            let remedy = "start tritonserver with `--allow-metrics=true`, and without \
                          `--metrics-port` or with that port in `metrics`";
            return vec![Check::bad(area, format!("{url}: {why}"), remedy)];
        }
    };
    vec![Check::good(area, format!("{url} can be read")), examine_summaries(area, &page)]
}

/// Quantiles are optional; without them only means are known.
fn examine_summaries(area: &str, page: &str) -> Check {
    if page.contains("nv_inference_request_summary_us") {
        Check::good(area, "latencies come with quantiles")
    } else {
        Check::skipped(area, "latencies come without quantiles: only means are known")
            .or("`--metrics-config summary_latencies=true` on tritonserver")
    }
}

fn examine_index(area: &str, server: &TritonConfig, index: Result<Answer, String>) -> Check {
    let url = &server.http;
    match index {
        Ok(index) if index.status == 200 => Check::good(area, format!("{url} lists its models")),
        Ok(index) => {
            let status = index.status;
            let finding =
                format!("{url} does not list its models ({status}); each is asked if it is ready");
            Check::skipped(area, finding)
                .or("do not restrict `model-repository` in `--http-restricted-api`")
        }
        Err(why) => Check::bad(
            area,
            format!("{url}: {why}"),
            "`http` must be the base of its HTTP API, usually http://HOST:8000",
        ),
    }
}

pub(super) async fn examine_uplink(uplink: &UplinkConfig) -> Check {
    let area = "aggregator";
    let Some(endpoint) = &uplink.endpoint else {
        return Check::skipped(area, "none is configured: everything stays on this node");
    };
    let remedy = "`uplink.endpoint` must be reachable from here; port 7443 unless it was changed";
    let authority = match http::authority(endpoint, 7443) {
        Ok(authority) => authority,
        Err(why) => return Check::bad(area, format!("{endpoint}: {why}"), remedy),
    };
    match time::timeout(uplink.connect_timeout, TcpStream::connect(&authority)).await {
        Ok(Ok(_)) => Check::good(area, format!("{authority} accepts connections")),
        Ok(Err(error)) => Check::bad(area, format!("{authority}: {error}"), remedy),
        Err(_) => {
            let limit = uplink.connect_timeout.as_secs_f64();
            Check::bad(area, format!("{authority} has not answered within {limit} s"), remedy)
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use gpuwarden_proto::vocab::ServerName;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpListener;

    use super::*;
    use crate::doctor::Verdict;

    /// A server that gives each connection the next answer.
    async fn serve(answers: &'static [&'static str]) -> TritonConfig {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let base = format!("http://{}", listener.local_addr().unwrap());
        tokio::spawn(async move {
            for answer in answers {
                let (mut stream, _) = listener.accept().await.unwrap();
                let mut request = [0; 4096];
                let _ = stream.read(&mut request).await;
                stream.write_all(answer.as_bytes()).await.unwrap();
            }
        });
        TritonConfig {
            name: ServerName::new("default").unwrap(),
            metrics: format!("{base}/metrics"),
            http: base,
            interval: Duration::from_secs(1),
            index_interval: Duration::from_secs(5),
            timeout: Duration::from_secs(2),
        }
    }

    async fn verdicts(answers: &'static [&'static str]) -> Vec<Verdict> {
        let server = serve(answers).await;
        examine_server(&server).await.into_iter().map(|check| check.verdict).collect()
    }

    #[tokio::test]
    async fn a_server_that_shows_everything() {
        const PAGE: &str =
            "HTTP/1.1 200 OK\r\n\r\nnv_inference_request_summary_us{quantile=\"0.5\"} 1\n";
        let verdicts = verdicts(&[PAGE, "HTTP/1.1 200 OK\r\n\r\n[]"]).await;
        assert_eq!(verdicts, [Verdict::Good, Verdict::Good, Verdict::Good]);
    }

    #[tokio::test]
    async fn a_server_that_shows_less_is_not_bad() {
        const PAGE: &str = "HTTP/1.1 200 OK\r\n\r\nnv_inference_count 1\n";
        let verdicts = verdicts(&[PAGE, "HTTP/1.1 403 Forbidden\r\n\r\n"]).await;
        assert_eq!(verdicts, [Verdict::Good, Verdict::Skipped, Verdict::Skipped]);
    }

    #[tokio::test]
    async fn something_else_is_no_server() {
        let verdicts = verdicts(&["HTTP/1.1 200 OK\r\n\r\nhello", "220 mail\r\n"]).await;
        assert_eq!(verdicts, [Verdict::Bad, Verdict::Bad]);
    }

    #[tokio::test]
    async fn nobody_there() {
        let server = serve(&[]).await;
        let checks = examine_server(&server).await;
        assert!(checks.iter().all(|check| check.verdict == Verdict::Bad), "{checks:?}");
    }

    #[tokio::test]
    async fn the_aggregator_need_only_accept() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let endpoint = Some(format!("http://{}", listener.local_addr().unwrap()));
        let mut uplink = UplinkConfig { endpoint, connect_timeout: Duration::from_secs(2) };
        assert_eq!(examine_uplink(&uplink).await.verdict, Verdict::Good);
        drop(listener);
        assert_eq!(examine_uplink(&uplink).await.verdict, Verdict::Bad);
        uplink.endpoint = None;
        assert_eq!(examine_uplink(&uplink).await.verdict, Verdict::Skipped);
    }
}
