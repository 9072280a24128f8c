//! What can go wrong on a simulated node. Plain data; [`crate::node::SimNode`] makes it happen.

use std::time::Duration;

use gpuwarden_proto::vocab::ModelName;

/// Something that happens to a node at one instant.
#[derive(Debug, Clone, PartialEq)]
pub enum Fault {
    /// To a GPU, by the driver's index.
    Gpu(u32, GpuFault),
    /// To a model.
    Model(ModelName, ModelFault),
    /// To the Triton server as a whole.
    Server(Service),
    /// To the source that reads the driver.
    Probe(Service),
}

/// What can happen to a GPU.
#[derive(Debug, Clone, PartialEq)]
pub enum GpuFault {
    /// A process begins to take memory and never gives any back.
    Leak {
        /// Which process; one that is not there yet is started.
        pid: u32,
        /// How fast.
        bytes_per_s: f64,
    },
    /// Somebody else's process starts to use the GPU.
    Neighbour {
        /// Its name.
        name: String,
        /// Share of time that its kernels run while it is on, 0 to 1.
        share: f64,
        /// When it is on.
        pattern: Pattern,
    },
    /// The driver reports an XID.
    Xid(u32),
    /// The driver cannot reach the GPU any more.
    Lost,
    /// Leaking processes are restarted, neighbours leave, the GPU is reachable.
    Heal,
}

/// When a process uses its GPU.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Pattern {
    /// Always.
    Steady,
    /// On, then off, again and again.
    Bursts {
        /// How long it is on.
        on: Duration,
        /// How long it is off.
        off: Duration,
    },
}

/// What can happen to a model.
#[derive(Debug, Clone, PartialEq)]
pub enum ModelFault {
    /// Requests come more or less often.
    Rate {
        /// How many times as often.
        factor: f64,
        /// For how long; `None` until healed.
        lasting: Option<Duration>,
    },
    /// A share of its requests fails.
    Fails(f64),
    /// It is taken away and cannot be loaded again, for this reason.
    LoadFails(String),
    /// Somebody unloads it.
    Unload,
    /// Requests are taken and none is answered.
    Stalls,
    /// It serves as it used to.
    Heal,
}

/// Whether something answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Service {
    /// It does not.
    Gone,
    /// It does again.
    Back,
}
