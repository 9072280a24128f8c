//! Against a stand-in API server on this machine, which answers what the test wants.

use std::net::SocketAddr;
use std::sync::Arc;

use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio::sync::mpsc;

use super::*;
use crate::testing::at;

/// What is answered to one request about Deployments; the connection then ends.
#[derive(Debug, Clone)]
enum Reply {
    Status(&'static str),
    List(Value),
    Watch(Vec<Value>),
    /// The watch goes on for as long as the test lasts.
    Stays(Vec<Value>),
}

/// An API server that answers in the order of its script, and tells what it was asked.
struct Standin {
    api: String,
    asked: mpsc::UnboundedReceiver<String>,
}

/// How a stand-in listens.
type Acceptor = Option<tokio_rustls::TlsAcceptor>;

async fn standin(script: Vec<Reply>, tls: Acceptor) -> Standin {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address: SocketAddr = listener.local_addr().unwrap();
    let (tell, asked) = mpsc::unbounded_channel();
    let scheme = if tls.is_some() { "https://localhost" } else { "http://127.0.0.1" };
    tokio::spawn(async move {
        let mut script = script.into_iter();
        while let Ok((tcp, _)) = listener.accept().await {
            let stream: Box<dyn Both> = match &tls {
                None => Box::new(tcp),
                Some(tls) => match tls.accept(tcp).await {
                    Ok(stream) => Box::new(stream),
                    Err(_) => continue,
                },
            };
            answer(stream, &mut script, &tell).await;
        }
    });
    Standin { api: format!("{scheme}:{}", address.port()), asked }
}

trait Both: tokio::io::AsyncRead + tokio::io::AsyncWrite + Send + Unpin {}
impl<T: tokio::io::AsyncRead + tokio::io::AsyncWrite + Send + Unpin> Both for T {}

async fn answer(
    mut stream: Box<dyn Both>,
    script: &mut impl Iterator<Item = Reply>,
    tell: &mpsc::UnboundedSender<String>,
) {
    let mut head = Vec::new();
    while !head.windows(4).any(|end| end == b"\r\n\r\n") {
        if stream.read_buf(&mut head).await.unwrap_or(0) == 0 {
            return;
        }
    }
    let head = String::from_utf8(head).unwrap();
    let path = head.split(' ').nth(1).unwrap();
    let reply = if path.contains("/deployments") {
        let token = head.lines().find_map(|line| line.strip_prefix("authorization: "));
        tell.send(format!("{path} {}", token.unwrap_or("-"))).unwrap();
        script.next().unwrap_or(Reply::Stays(Vec::new()))
    } else if path.contains("watch=1") {
        Reply::Stays(Vec::new())
    } else {
        Reply::List(json!({ "metadata": { "resourceVersion": "1" }, "items": [] }))
    };
    let (status, body, stays) = match reply {
        Reply::Status(status) => (status, String::new(), false),
        Reply::List(list) => ("200 OK", list.to_string(), false),
        Reply::Watch(lines) => ("200 OK", joined(&lines), false),
        Reply::Stays(lines) => ("200 OK", joined(&lines), true),
    };
    let head = format!("HTTP/1.1 {status}\r\nconnection: close\r\n\r\n");
    drop(stream.write_all(format!("{head}{body}").as_bytes()).await);
    drop(stream.flush().await);
    if stays {
        tokio::spawn(async move {
            let _stream = stream;
            std::future::pending::<()>().await;
        });
    } else {
        drop(stream.shutdown().await);
    }
}

fn joined(lines: &[Value]) -> String {
    lines.iter().map(|line| format!("{line}\n")).collect()
}

/// The Deployment at a version, with the image of that number.
fn deployment(version: &str, image: u64, updated: u64) -> Value {
    json!({
        "metadata": { "uid": "u1", "namespace": "prod", "name": "search", "generation": image,
            "resourceVersion": version },
        "spec": { "replicas": 2, "template": { "spec": { "containers": [
            { "image": format!("triton:{image}") }] } } },
        "status": { "observedGeneration": image, "replicas": 2, "updatedReplicas": updated,
            "availableReplicas": 2 },
    })
}

fn list(version: &str, items: &[Value]) -> Reply {
    Reply::List(json!({ "metadata": { "resourceVersion": version }, "items": items }))
}

fn line(kind: &str, object: &Value) -> Value {
    json!({ "type": kind, "object": object })
}

fn settings(api: &str) -> Settings {
    Settings {
        api: api.to_owned(),
        token_file: None,
        ca_file: None,
        namespaces: Vec::new(),
        label: "gpuwarden.io/service".to_owned(),
    }
}

/// Watches until so many changes were told; then says what was told and what was asked.
async fn watched(script: Vec<Reply>, count: usize) -> (Vec<String>, Vec<String>) {
    let mut standin = standin(script, None).await;
    let told = told(settings(&standin.api), count).await;
    let mut asked = Vec::new();
    while let Ok(path) = standin.asked.try_recv() {
        let query = path.split_once('?').map_or(String::new(), |(_, query)| query.to_owned());
        asked.push(query.replace("allowWatchBookmarks=true&timeoutSeconds=290&", ""));
    }
    (told, asked)
}

async fn told(settings: Settings, count: usize) -> Vec<String> {
    let api = Api::new(&settings).unwrap();
    let (clock, _) = Clock::simulated(at(0));
    let (told, mut heard) = mpsc::channel(TOLD_MAX);
    let ms = Duration::from_millis;
    let watching =
        tokio::spawn(watch(api, settings, clock, told, Pace { first: ms(1), most: ms(2) }));
    let mut changes = Vec::new();
    while changes.len() < count {
        let some = tokio::time::timeout(Duration::from_secs(20), heard.recv()).await;
        let some = some.expect("nothing was told").expect("the watch ended");
        changes.extend(some.into_iter().map(|change| {
            let over = if change.finished_at.is_some() { ", done" } else { "" };
            format!("{}{over}", change.summary)
        }));
    }
    watching.abort();
    changes
}

#[tokio::test]
async fn a_rollout_is_told_when_it_begins_and_when_it_ends() {
    let script = vec![
        list("5", &[deployment("5", 1, 2)]),
        Reply::Stays(vec![
            line("MODIFIED", &deployment("6", 2, 0)),
            line("MODIFIED", &deployment("7", 2, 1)),
            line("MODIFIED", &deployment("8", 2, 2)),
        ]),
    ];
    let (told, asked) = watched(script, 2).await;
    insta::assert_snapshot!(told.join("\n"), @r"
    deployment prod/search goes from triton:1 to triton:2
    deployment prod/search goes from triton:1 to triton:2, done
    ");
    assert_eq!(asked, ["limit=200 -", "watch=1&resourceVersion=5 -"]);
}

#[tokio::test]
async fn a_watch_that_ends_goes_on_from_its_last_bookmark() {
    let bookmark = json!({ "metadata": { "resourceVersion": "90" } });
    let script = vec![
        list("5", &[deployment("5", 1, 2)]),
        Reply::Watch(vec![line("BOOKMARK", &bookmark)]),
        Reply::Stays(vec![line("MODIFIED", &deployment("91", 2, 2))]),
    ];
    let (told, asked) = watched(script, 1).await;
    assert_eq!(told, ["deployment prod/search goes from triton:1 to triton:2, done"]);
    assert_eq!(asked[2], "watch=1&resourceVersion=90 -");
}

#[tokio::test]
async fn a_watch_that_is_too_old_lists_again_and_tells_what_changed_meanwhile() {
    let gone = json!({ "code": 410, "message": "too old resource version" });
    for too_old in [Reply::Watch(vec![line("ERROR", &gone)]), Reply::Status("410 Gone")] {
        let script = vec![
            list("5", &[deployment("5", 1, 2)]),
            too_old,
            list("70", &[deployment("70", 2, 2)]),
        ];
        let (told, asked) = watched(script, 1).await;
        assert_eq!(told, ["deployment prod/search goes from triton:1 to triton:2, done"]);
        assert_eq!(asked[2], "limit=200 -");
    }
}

#[tokio::test]
async fn a_server_that_fails_is_asked_again_and_nothing_is_told_twice() {
    let script = vec![
        Reply::Status("500 Internal Server Error"),
        Reply::Status("403 Forbidden"),
        list("5", &[deployment("5", 1, 2)]),
        Reply::Watch(vec![json!("no line")]),
        Reply::Watch(vec![line("MODIFIED", &deployment("6", 2, 0))]),
        Reply::Stays(vec![line("MODIFIED", &deployment("7", 2, 2))]),
    ];
    let (told, _) = watched(script, 2).await;
    assert_eq!(
        told,
        [
            "deployment prod/search goes from triton:1 to triton:2",
            "deployment prod/search goes from triton:1 to triton:2, done"
        ]
    );
}

#[tokio::test]
async fn a_list_is_read_page_by_page() {
    let other = |name: &str, updated| {
        let mut object = deployment("1", 1, updated);
        object["metadata"]["name"] = json!(name);
        object
    };
    let first = json!({ "metadata": { "resourceVersion": "5", "continue": "a/b=" },
        "items": [other("one", 0)] });
    let script = vec![Reply::List(first), list("5", &[other("two", 0)])];
    let (told, asked) = watched(script, 2).await;
    assert!(told[1].starts_with("deployment prod/two runs triton:1, on its way"), "{told:?}");
    assert_eq!(asked[1], "limit=200&continue=a%2Fb%3D -");
}

#[test]
fn only_this_machine_is_asked_without_tls_and_no_pod_is_told_so() {
    let refused = |api: &str| Api::new(&settings(api)).unwrap_err();
    assert!(refused("http://10.0.0.1:6443").contains("only on this machine"));
    assert!(refused("https://10.0.0.1:6443").contains("kubernetes.ca_file is missing"));
    let own = settings(IN_CLUSTER).resolved(Some("fd00::1"), Some("443")).unwrap();
    assert_eq!(own.api, "https://[fd00::1]:443");
    assert!(own.token_file.unwrap().ends_with("token"));
    assert!(settings(IN_CLUSTER).resolved(None, None).unwrap_err().contains("in-cluster"));
}

/// Base64 as PEM has it.
fn pem(der: &[u8]) -> String {
    let digits = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut text = String::new();
    for three in der.chunks(3) {
        let bits = three.iter().fold(0_u32, |bits, byte| bits << 8 | u32::from(*byte));
        let bits = bits << (8 * (3 - three.len()));
        for nth in 0..4 {
            let digit = digits[(bits >> (18 - 6 * nth)) as usize & 63] as char;
            text.push(if nth > three.len() { '=' } else { digit });
        }
    }
    format!("-----BEGIN CERTIFICATE-----\n{text}\n-----END CERTIFICATE-----\n")
}

#[tokio::test]
async fn over_tls_only_the_clusters_own_authority_is_trusted_and_the_token_is_read_anew() {
    use tokio_rustls::rustls::ServerConfig;
    use tokio_rustls::rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};

    let signed = rcgen::generate_simple_self_signed(vec!["localhost".to_owned()]).unwrap();
    let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(signed.signing_key.serialize_der()));
    let provider = Arc::new(tokio_rustls::rustls::crypto::ring::default_provider());
    let config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![signed.cert.der().clone()], key)
        .unwrap();
    let folder = tempfile::tempdir().unwrap();
    let (ca, token) = (folder.path().join("ca.crt"), folder.path().join("token"));
    std::fs::write(&ca, pem(signed.cert.der())).unwrap();
    std::fs::write(&token, "secret\n").unwrap();
    let script = vec![list("5", &[deployment("5", 1, 0)])];
    let mut standin = standin(script, Some(Arc::new(config).into())).await;
    let trusted =
        Settings { ca_file: Some(ca.clone()), token_file: Some(token), ..settings(&standin.api) };
    assert_eq!(told(trusted.clone(), 1).await.len(), 1);
    assert_eq!(
        standin.asked.try_recv().unwrap(),
        "/apis/apps/v1/deployments?limit=200 Bearer secret"
    );

    let other = rcgen::generate_simple_self_signed(vec!["localhost".to_owned()]).unwrap();
    std::fs::write(&ca, pem(other.cert.der())).unwrap();
    let refused = Api::new(&trusted).unwrap().list("/apis/apps/v1/deployments").await.unwrap_err();
    assert!(refused.to_string().contains("certificate"), "{refused}");
}
