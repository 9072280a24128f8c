//! What a device is.

use std::ffi::{c_char, c_int};

use nvml_wrapper_sys::bindings::nvmlPciInfo_t;

use super::device_calls;
use super::out::Out;
use crate::world::Gpu;

/// NVML's mode of a GPU that any number of processes may compute on.
const COMPUTE_MODE_DEFAULT: u32 = 0;

device_calls! { on_any_device:
    /// The UUID.
    fn nvmlDeviceGetUUID(to: Out<c_char>, room: u32) |seen| {
        let of_mig = seen.mig.and_then(|(slot, _)| seen.gpu.mig_uuid(slot));
        to.put_text(&of_mig.unwrap_or_else(|| seen.gpu.uuid.clone()), room)
    };

    /// The name of the model, and for a MIG device its profile.
    fn nvmlDeviceGetName(to: Out<c_char>, room: u32) |seen| match seen.mig {
        Some((_, mig)) => to.put_text(&format!("{} MIG {}", seen.gpu.name, mig.profile), room),
        None => to.put_text(&seen.gpu.name, room),
    };

    /// The index: of a GPU on the node, of a MIG device on its GPU.
    fn nvmlDeviceGetIndex(to: Out<u32>) |seen| {
        to.put(seen.mig.map_or(seen.gpu.index, |(slot, _)| slot) as u32)
    };
}

device_calls! { on_gpu:
    /// The PCI address and ids.
    fn nvmlDeviceGetPciInfo_v3(to: Out<nvmlPciInfo_t>) |seen| to.put(pci_info(seen.gpu));

    /// The number in `/dev/nvidiaN`.
    fn nvmlDeviceGetMinorNumber(to: Out<u32>) |seen| to.put(seen.gpu.index as u32);

    /// The serial number of the board.
    fn nvmlDeviceGetSerial(to: Out<c_char>, room: u32) |seen| {
        to.put_text(&format!("{:013}", 1_320_000_000_000 + seen.gpu.index as u64), room)
    };

    /// The compute capability.
    fn nvmlDeviceGetCudaComputeCapability(major: Out<c_int>, minor: Out<c_int>) |seen| {
        major.put(seen.gpu.traits.compute_capability.0)?;
        minor.put(seen.gpu.traits.compute_capability.1)
    };

    /// The architecture, by NVML's number.
    fn nvmlDeviceGetArchitecture(to: Out<u32>) |seen| to.put(seen.gpu.traits.architecture);

    /// Who may compute on the GPU.
    fn nvmlDeviceGetComputeMode(to: Out<u32>) |_| to.put(COMPUTE_MODE_DEFAULT);

    /// Whether the driver stays loaded without a client.
    fn nvmlDeviceGetPersistenceMode(to: Out<u32>) |seen| to.put(seen.gpu.persistence.into());
}

fn pci_info(gpu: &Gpu) -> nvmlPciInfo_t {
    nvmlPciInfo_t {
        busIdLegacy: text(&gpu.pci_address(4)),
        domain: 0,
        bus: gpu.pci_bus,
        device: 0,
        pciDeviceId: gpu.traits.pci_device_id,
        pciSubSystemId: gpu.traits.pci_device_id,
        busId: text(&gpu.pci_address(8)),
    }
}

/// A string in a field of fixed size, padded with zeros.
fn text<const ROOM: usize>(from: &str) -> [c_char; ROOM] {
    let mut to = [0; ROOM];
    for (slot, byte) in to[..ROOM - 1].iter_mut().zip(from.bytes()) {
        *slot = byte as c_char;
    }
    to
}
