//! One question, one answer, one connection: as much HTTP/1.0 as the doctor needs.

use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time;

/// More of an answer is not read.
const LONGEST: u64 = 8 * 1024 * 1024;

/// An answer.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Answer {
    /// E.g. 200.
    pub status: u16,
    /// What follows the head.
    pub body: String,
}

/// Asks for a page.
pub(super) async fn get(url: &str, limit: Duration) -> Result<Answer, String> {
    ask(url, "GET", "", limit).await
}

/// Sends JSON.
pub(super) async fn post(url: &str, body: &str, limit: Duration) -> Result<Answer, String> {
    ask(url, "POST", body, limit).await
}

/// `host:port` of an address.
pub(super) fn authority(url: &str, default_port: u16) -> Result<String, String> {
    let rest = url.split_once("://").map_or(url, |(_, rest)| rest);
    let authority = rest.split('/').next().unwrap_or_default();
    if authority.is_empty() || authority.contains(['@', ' ', '\r', '\n']) {
        return Err("not an address".to_owned());
    }
    let has_port = authority.rsplit_once(':').is_some_and(|(_, port)| port.parse::<u16>().is_ok());
    Ok(if has_port { authority.to_owned() } else { format!("{authority}:{default_port}") })
}

async fn ask(url: &str, method: &str, body: &str, limit: Duration) -> Result<Answer, String> {
    if !url.starts_with("http://") {
        return Err("only http:// can be asked here".to_owned());
    }
    let authority = authority(url, 80)?;
    let path = url["http://".len()..].find('/').map_or("/", |at| &url["http://".len() + at..]);
    if path.contains([' ', '\r', '\n']) {
        return Err("not an address".to_owned());
    }
    let request = format!(
        "{method} {path} HTTP/1.0\r\nHost: {authority}\r\nContent-Type: application/json\r\n\
         Content-Length: {}\r\nConnection: close\r\n\r\n{body}",
        body.len()
    );
    match time::timeout(limit, exchange(&authority, &request)).await {
        Ok(Ok(bytes)) => parse(&bytes).ok_or_else(|| "answers, but not in HTTP".to_owned()),
        Ok(Err(error)) => Err(error.to_string()),
        Err(_) => Err(format!("no answer within {} s", limit.as_secs_f64())),
    }
}

async fn exchange(authority: &str, request: &str) -> std::io::Result<Vec<u8>> {
    let mut stream = TcpStream::connect(authority).await?;
    stream.write_all(request.as_bytes()).await?;
    let mut bytes = Vec::new();
    stream.take(LONGEST).read_to_end(&mut bytes).await?;
    Ok(bytes)
}

fn parse(bytes: &[u8]) -> Option<Answer> {
    let text = String::from_utf8_lossy(bytes);
    let (head, body) = text.split_once("\r\n\r\n")?;
    let status = head.strip_prefix("HTTP/1.")?.split(' ').nth(1)?.parse().ok()?;
    Some(Answer { status, body: body.to_owned() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_authority_has_a_port() {
        assert_eq!(authority("http://node:8000/x", 80).as_deref(), Ok("node:8000"));
        assert_eq!(authority("http://node", 7443).as_deref(), Ok("node:7443"));
        assert_eq!(authority("https://[::1]:7443", 80).as_deref(), Ok("[::1]:7443"));
        assert_eq!(authority("http://[::1]", 7443).as_deref(), Ok("[::1]:7443"));
        assert!(authority("http://user@node", 80).is_err());
        assert!(authority("http:///x", 80).is_err());
    }

    #[test]
    fn an_answer_has_a_status() {
        let answer = parse(b"HTTP/1.1 404 Not Found\r\nA: b\r\n\r\nbody");
        assert_eq!(answer, Some(Answer { status: 404, body: "body".to_owned() }));
        for garbage in ["", "HTTP/1.1 200 OK", "SSH-2.0\r\n\r\n", "HTTP/1.1 x\r\n\r\n"] {
            assert_eq!(parse(garbage.as_bytes()), None, "{garbage}");
        }
    }
}
