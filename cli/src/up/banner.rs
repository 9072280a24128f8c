//! What is running and what was found, in the first two lines.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use super::demo::Demo;
use super::machine::Machine;

/// What the first lines say.
#[derive(Debug, Clone)]
pub struct Banner {
    grpc: SocketAddr,
    http: SocketAddr,
    data: PathBuf,
    /// What was found on this machine.
    pub machine: Machine,
    /// What was added to it.
    pub demo: Option<Demo>,
}

impl Banner {
    /// Before anything was looked for.
    pub fn new(grpc: SocketAddr, http: SocketAddr, data: &Path) -> Self {
        Self { grpc, http, data: data.to_owned(), machine: Machine::default(), demo: None }
    }

    /// The lines.
    pub fn render(&self) -> String {
        let Self { grpc, http, .. } = self;
        let data = self.data.display();
        let mut text = format!(
            "gpuwarden up: aggregator on {grpc} (gRPC) and http://{http}, data in {data}\n\
             this machine: {}",
            self.machine.render()
        );
        if let Some(Demo { nodes, gpus, models }) = self.demo {
            text += &format!("; demo fleet of {nodes} nodes, {gpus} GPUs, {models} models added");
        }
        text + "\n"
    }
}

impl Machine {
    fn render(&self) -> String {
        let driver = match &self.driver {
            Some(version) => format!("NVIDIA driver {version}"),
            None => "no NVIDIA driver".to_owned(),
        };
        let triton = if self.triton { "Triton" } else { "no Triton" };
        format!("{driver}, {triton} on 127.0.0.1:8002")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn banner(machine: Machine, demo: Option<Demo>) -> String {
        let address = |port| SocketAddr::from(([127, 0, 0, 1], port));
        let empty = Banner::new(address(7443), address(7080), Path::new("./gpuwarden-data"));
        Banner { machine, demo, ..empty }.render()
    }

    #[test]
    fn what_is_not_there_is_said_in_plain_words() {
        let demo = Some(Demo { nodes: 4, gpus: 16, models: 6 });
        insta::assert_snapshot!(banner(Machine::default(), demo), @r#"
        gpuwarden up: aggregator on 127.0.0.1:7443 (gRPC) and http://127.0.0.1:7080, data in ./gpuwarden-data
        this machine: no NVIDIA driver, no Triton on 127.0.0.1:8002; demo fleet of 4 nodes, 16 GPUs, 6 models added
        "#);
    }

    #[test]
    fn what_is_there_is_said_too() {
        let machine = Machine { driver: Some("580.95.05".to_owned()), triton: true };
        insta::assert_snapshot!(banner(machine, None), @r#"
        gpuwarden up: aggregator on 127.0.0.1:7443 (gRPC) and http://127.0.0.1:7080, data in ./gpuwarden-data
        this machine: NVIDIA driver 580.95.05, Triton on 127.0.0.1:8002
        "#);
    }
}
