//! Events per second that an aggregator commits and correlates, beside what the bare stream and the
//! bare store can do in the same run.
//!
//! The load stands for a fleet: each node has a session of its own, many sessions share a
//! connection, and each sends batches of findings' updates and waits for their acknowledgement.

// A bench is about time, so it reads the clock.
#![allow(clippy::disallowed_methods)]

mod bare;
mod figures;
mod load;

use std::net::{SocketAddr, TcpListener};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use figures::Course;
use load::{Load, Shape};

/// Nodes of the fleet.
const NODES: usize = 10_000;
/// Connections that they share.
const CONNECTIONS: usize = 64;
/// Events of a batch.
const BATCH_EVENTS: usize = 128;
/// Batches under way at once.
const IN_FLIGHT: usize = 128;
/// How long each part is measured.
const MEASURED: Duration = Duration::from_secs(10);
/// How long it may take until a port answers.
const START: Duration = Duration::from_secs(15);

type Failure = Box<dyn std::error::Error + Send + Sync>;

#[tokio::main]
async fn main() -> Result<(), Failure> {
    if let Some("bare-stream") = std::env::args().nth(1).as_deref() {
        let address: SocketAddr = std::env::args().nth(2).ok_or("no address")?.parse()?;
        return bare::serve(address).await;
    }
    let shape = Shape { nodes: NODES, connections: CONNECTIONS, batch_events: BATCH_EVENTS };
    let folder = tempfile::tempdir()?;

    eprintln!("bare store: {BATCH_EVENTS} events a row, a synced transaction for what is queued");
    let store = bare::store(folder.path(), shape, MEASURED)?;
    eprintln!("  {:.0} events/s", store.events_per_s());

    eprintln!("bare stream: batches are acknowledged unread");
    let address = free_address()?;
    let server = Server::start(
        &std::env::current_exe()?,
        &["bare-stream".to_owned(), address.to_string()],
        address,
    )?;
    let stream = measure(shape, address).await?;
    drop(server);

    eprintln!("gpuwarden-aggregator: committed, then acknowledged; correlated");
    let (server, address) = aggregator(folder.path())?;
    let ingest = measure(shape, address).await?;
    let memory_mib = server.resident_mib();
    drop(server);

    println!("{}", figures::report(&shape, &store, &stream, &ingest, memory_mib));
    Ok(())
}

async fn measure(shape: Shape, address: SocketAddr) -> Result<Course, Failure> {
    let load = Load::connect(shape, address).await?;
    let course = load.run(IN_FLIGHT, MEASURED).await?;
    eprintln!(
        "  {:.0} events/s, ack p50 {:.1} ms, p99 {:.1} ms",
        course.events_per_s(),
        course.ack_ms(0.5),
        course.ack_ms(0.99)
    );
    Ok(course)
}

fn aggregator(folder: &Path) -> Result<(Server, SocketAddr), Failure> {
    let (grpc, http) = (free_address()?, free_address()?);
    let config = folder.join("aggregator.toml");
    let store = folder.join("store");
    let text = format!(
        "[grpc]\nlisten = \"{grpc}\"\n[http]\nlisten = \"{http}\"\n[store]\ndir = \"{}\"\n",
        store.display()
    );
    std::fs::write(&config, text)?;
    let exe = std::env::current_exe()?.with_file_name("gpuwarden-aggregator");
    let args = ["run".to_owned(), "--config".to_owned(), config.display().to_string()];
    Ok((Server::start(&exe, &args, grpc)?, grpc))
}

fn free_address() -> Result<SocketAddr, Failure> {
    Ok(TcpListener::bind("127.0.0.1:0")?.local_addr()?)
}

/// A server in a process of its own, which ends with it.
struct Server(Child);

impl Server {
    fn start(exe: &Path, args: &[String], address: SocketAddr) -> Result<Self, Failure> {
        let log = std::fs::File::create(std::env::temp_dir().join("gpuwarden-bench-ingest.log"))?;
        let child = Command::new(exe)
            .args(args)
            .env("GPUWARDEN_LOG", "warn")
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log)
            .spawn()?;
        let server = Self(child);
        let mut tries = 0;
        while std::net::TcpStream::connect(address).is_err() {
            tries += 1;
            if tries > START.as_millis() / 20 {
                return Err(format!("{} does not listen on {address}", exe.display()).into());
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        Ok(server)
    }

    fn resident_mib(&self) -> f64 {
        let text = std::fs::read_to_string(format!("/proc/{}/status", self.0.id()));
        let text = text.unwrap_or_default();
        let line = text.lines().find_map(|line| line.strip_prefix("VmRSS:"));
        let kib = line.and_then(|line| line.split_whitespace().next()?.parse::<f64>().ok());
        kib.unwrap_or(f64::NAN) / 1024.0
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}
