//! Triton servers and the aggregator, over the network.

use std::time::Duration;

use tokio::net::TcpStream;
use tokio::time;

use super::Check;
use crate::config::{TritonConfig, UplinkConfig};
use crate::sample::Outage;
use crate::source::http::{Address, Answer, Endpoint, Patience};

const METRICS_REMEDY: &str = "`metrics` must be the page itself, usually http://HOST:8002/metrics";
const INDEX_REMEDY: &str = "`http` must be the base of its HTTP API, usually http://HOST:8000";
const UPLINK_REMEDY: &str =
    "`uplink.endpoint` must be reachable from here; port 7443 unless it was changed";
/// Where an aggregator listens unless it was told otherwise.
const UPLINK_PORT: u16 = 7443;

pub(super) async fn examine_server(server: &TritonConfig) -> Vec<Check> {
    let area = format!("triton {}", server.name);
    let mut checks = match endpoint(&server.metrics, server.timeout) {
        Ok(mut page) => examine_metrics(&area, &server.metrics, page.get("").await),
        Err(why) => vec![Check::bad(&area, why, METRICS_REMEDY)],
    };
    checks.push(match endpoint(&server.http, server.timeout) {
        Ok(mut api) => {
            let index = api.post("/v2/repository/index", "{}").await;
            examine_index(&area, &server.http, index)
        }
        Err(why) => Check::bad(&area, why, INDEX_REMEDY),
    });
    checks
}

/// The same client as the sources', so that what it says here is what they will meet. The error names
/// the URL, but for one with a password in it.
fn endpoint(url: &str, limit: Duration) -> Result<Endpoint, String> {
    let patience = Patience { connect: limit, answer: limit, kept: limit };
    Address::parse(url).map(|address| Endpoint::new(address, patience))
}

fn words(outage: Outage) -> String {
    let (Outage::Refused(words) | Outage::TimedOut(words) | Outage::Garbled(words)) = outage;
    words
}

fn examine_metrics(area: &str, url: &str, answer: Result<Answer<'_>, Outage>) -> Vec<Check> {
    let Answer { status, body } = match answer {
        Ok(answer) => answer,
        Err(outage) => {
            let remedy = "start tritonserver with `--allow-metrics=true`, and without \
                          `--metrics-port` or with that port in `metrics`";
            return vec![Check::bad(area, format!("{url}: {}", words(outage)), remedy)];
        }
    };
    let page = String::from_utf8_lossy(body);
    if status != 200 || !page.contains("nv_") {
        let finding = format!("{url} answers {status}, but not with Triton's metrics");
        return vec![Check::bad(area, finding, METRICS_REMEDY)];
    }
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

fn examine_index(area: &str, url: &str, answer: Result<Answer<'_>, Outage>) -> Check {
    match answer {
        Ok(Answer { status: 200, .. }) => Check::good(area, format!("{url} lists its models")),
        Ok(Answer { status, .. }) => {
            let finding =
                format!("{url} does not list its models ({status}); each is asked if it is ready");
            Check::skipped(area, finding)
                .or("do not restrict `model-repository` in `--http-restricted-api`")
        }
        Err(outage) => Check::bad(area, format!("{url}: {}", words(outage)), INDEX_REMEDY),
    }
}

pub(super) async fn examine_uplink(uplink: &UplinkConfig) -> Check {
    let area = "aggregator";
    let Some(endpoint) = &uplink.endpoint else {
        return Check::skipped(area, "none is configured: everything stays on this node");
    };
    let authority = match authority(endpoint, UPLINK_PORT) {
        Ok(authority) => authority,
        Err(why) => return Check::bad(area, why, UPLINK_REMEDY),
    };
    match time::timeout(uplink.connect_timeout, TcpStream::connect(&authority)).await {
        Ok(Ok(_)) => Check::good(area, format!("{authority} accepts connections")),
        Ok(Err(error)) => Check::bad(area, format!("{authority}: {error}"), UPLINK_REMEDY),
        Err(_) => {
            let limit = uplink.connect_timeout.as_secs_f64();
            let finding = format!("{authority} has not answered within {limit} s");
            Check::bad(area, finding, UPLINK_REMEDY)
        }
    }
}

/// `host:port` of an address, with or without encryption: only a connection is tried. The error is a
/// sentence about the address.
fn authority(url: &str, default_port: u16) -> Result<String, String> {
    let rest = url.split_once("://").map_or(url, |(_, rest)| rest);
    let authority = rest.split('/').next().unwrap_or_default();
    if authority.contains('@') {
        return Err("a URL with a user name or a password in it is not accepted".to_owned());
    }
    if authority.is_empty() || authority.contains(char::is_whitespace) {
        return Err(format!("`{url}` names no host"));
    }
    let has_port = authority.rsplit_once(':').is_some_and(|(_, port)| port.parse::<u16>().is_ok());
    Ok(if has_port { authority.to_owned() } else { format!("{authority}:{default_port}") })
}

#[cfg(test)]
mod tests {
    use expect_test::expect;
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
        server_at(base)
    }

    fn server_at(base: String) -> TritonConfig {
        TritonConfig {
            name: ServerName::new("default").unwrap(),
            metrics: format!("{base}/metrics"),
            http: base,
            interval: Duration::from_secs(1),
            index_interval: Duration::from_secs(5),
            timeout: Duration::from_secs(2),
        }
    }

    /// What is said of a server's two ports, in the form in which people read it.
    async fn said(server: &TritonConfig) -> String {
        let shown = crate::doctor::render(&examine_server(server).await);
        let port = |url: &str| url.rsplit(':').next().unwrap_or_default().to_owned();
        shown.replace(&port(&server.http), "PORT")
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
        let server = serve(&["HTTP/1.1 200 OK\r\n\r\nhello", "220 mail\r\n"]).await;
        expect![[r#"
            triton default
              ✗ http://127.0.0.1:PORT/metrics answers 200, but not with Triton's metrics
                  → `metrics` must be the page itself, usually http://HOST:8002/metrics
              ✗ http://127.0.0.1:PORT: not an HTTP answer: invalid HTTP version parsed
                  → `http` must be the base of its HTTP API, usually http://HOST:8000

            2 things to mend.
        "#]]
        .assert_eq(&said(&server).await);
    }

    #[tokio::test]
    async fn nobody_there() {
        // Bound, so that nobody else gets the port, and never listening.
        let socket = tokio::net::TcpSocket::new_v4().unwrap();
        socket.bind("127.0.0.1:0".parse().unwrap()).unwrap();
        let server = server_at(format!("http://{}", socket.local_addr().unwrap()));
        expect![[r#"
            triton default
              ✗ http://127.0.0.1:PORT/metrics: nobody listens on 127.0.0.1:PORT
                  → start tritonserver with `--allow-metrics=true`, and without `--metrics-port` or with that
                    port in `metrics`
              ✗ http://127.0.0.1:PORT: nobody listens on 127.0.0.1:PORT
                  → `http` must be the base of its HTTP API, usually http://HOST:8000

            2 things to mend.
        "#]].assert_eq(&said(&server).await);
    }

    #[tokio::test]
    async fn one_that_accepts_and_never_answers() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let base = format!("http://{}", listener.local_addr().unwrap());
        let server = TritonConfig { timeout: Duration::from_millis(50), ..server_at(base) };
        expect![[r#"
            triton default
              ✗ http://127.0.0.1:PORT/metrics: no whole answer from 127.0.0.1:PORT within 50 ms
                  → start tritonserver with `--allow-metrics=true`, and without `--metrics-port` or with that
                    port in `metrics`
              ✗ http://127.0.0.1:PORT: no whole answer from 127.0.0.1:PORT within 50 ms
                  → `http` must be the base of its HTTP API, usually http://HOST:8000

            2 things to mend.
        "#]].assert_eq(&said(&server).await);
    }

    #[tokio::test]
    async fn addresses_that_cannot_be_asked() {
        let server = TritonConfig {
            metrics: "https://gpu-7:8002/metrics".to_owned(),
            http: "http://ann:secret@gpu-7:8000".to_owned(),
            ..server_at(String::new())
        };
        expect![[r#"
            triton default
              ✗ `https://gpu-7:8002/metrics`: TLS is not spoken here, use http:// on this machine
                  → `metrics` must be the page itself, usually http://HOST:8002/metrics
              ✗ a URL with a user name or a password in it is not accepted
                  → `http` must be the base of its HTTP API, usually http://HOST:8000

            2 things to mend.
        "#]]
        .assert_eq(&crate::doctor::render(&examine_server(&server).await));
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

    #[tokio::test]
    async fn an_address_of_the_aggregator_with_a_password_is_not_repeated() {
        let endpoint = Some("http://ann:secret@centre:7443".to_owned());
        let uplink = UplinkConfig { endpoint, connect_timeout: Duration::from_secs(2) };
        let check = examine_uplink(&uplink).await;
        let words = "a URL with a user name or a password in it is not accepted";
        assert_eq!((check.verdict, check.finding.as_str()), (Verdict::Bad, words));
    }

    #[test]
    fn an_authority_has_a_port() {
        assert_eq!(authority("http://node:8000/x", 80).as_deref(), Ok("node:8000"));
        assert_eq!(authority("http://node", 7443).as_deref(), Ok("node:7443"));
        assert_eq!(authority("https://[::1]:7443", 80).as_deref(), Ok("[::1]:7443"));
        assert_eq!(authority("http://[::1]", 7443).as_deref(), Ok("[::1]:7443"));
        assert!(authority("http://user@node", 80).is_err());
        assert!(authority("http:///x", 80).is_err());
    }
}
