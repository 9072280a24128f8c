//! What has gone wrong with a GPU: ECC, rows, pages, and its links.

use nvml_wrapper_sys::bindings::{nvmlEccErrorCounts_t, nvmlEccSramErrorStatus_v1_t};

use super::out::{Out, list};
use super::sizes::version_word;
use super::{Seen, device_calls};
use crate::command::{EccKind, EccLocation};
use crate::status::{Reply, Status};
use crate::world::{Counter, Gpu};

/// Links NVML numbers at most.
const MAX_LINKS: u32 = 18;

device_calls! { on_gpu:
    /// Whether ECC is on, and will be after a reset.
    fn nvmlDeviceGetEccMode(now: Out<u32>, pending: Out<u32>) |seen| {
        now.put(seen.gpu.ecc_enabled.into())?;
        pending.put(seen.gpu.ecc_enabled.into())
    };

    /// ECC errors everywhere.
    fn nvmlDeviceGetTotalEccErrors(kind: u32, counter: u32, to: Out<u64>) |seen| {
        let (kind, counter) = asked(seen, kind, counter)?;
        to.put(seen.gpu.ecc.total(counter, kind))
    };

    /// ECC errors at one location.
    fn nvmlDeviceGetMemoryErrorCounter(
        kind: u32,
        counter: u32,
        location: u32,
        to: Out<u64>
    ) |seen| {
        let (kind, counter) = asked(seen, kind, counter)?;
        let count = seen.gpu.ecc.at(counter, kind, location as usize);
        to.put(count.ok_or(Status::INVALID_ARGUMENT)?)
    };

    /// ECC errors at the locations of old.
    fn nvmlDeviceGetDetailedEccErrors(
        kind: u32,
        counter: u32,
        to: Out<nvmlEccErrorCounts_t>
    ) |seen| {
        let (kind, counter) = asked(seen, kind, counter)?;
        let at = |place| errors_at(seen.gpu, counter, kind, place);
        to.put(nvmlEccErrorCounts_t {
            l1Cache: at(EccLocation::L1Cache),
            l2Cache: at(EccLocation::L2Cache),
            deviceMemory: at(EccLocation::Dram),
            registerFile: at(EccLocation::RegisterFile),
        })
    };

    /// ECC errors of SRAM, where uncorrected ones count as SEC-DED errors outside every bucket.
    fn nvmlDeviceGetSramEccErrorStatus(to: Out<nvmlEccSramErrorStatus_v1_t>) |seen| {
        let version = to.get()?.version;
        if version != version_word::<nvmlEccSramErrorStatus_v1_t>(1) {
            return Err(Status::ARGUMENT_VERSION_MISMATCH);
        }
        to.put(sram_status(seen.gpu, version))
    };

    /// Remapped rows, which there are none of before Ampere, nor told of while MIG is on.
    fn nvmlDeviceGetRemappedRows(
        correctable: Out<u32>,
        uncorrectable: Out<u32>,
        pending: Out<u32>,
        failure: Out<u32>
    ) |seen| {
        if !seen.gpu.traits.remaps_rows() || !seen.gpu.mig.is_empty() {
            return Err(Status::NOT_SUPPORTED);
        }
        let rows = &seen.gpu.remapped;
        correctable.put(rows.correctable.unwrap_or(0))?;
        uncorrectable.put(rows.uncorrectable.unwrap_or(0))?;
        pending.put(rows.pending.unwrap_or(false).into())?;
        failure.put(rows.failure.unwrap_or(false).into())
    };

    /// Retired pages, which there are none of since Ampere.
    fn nvmlDeviceGetRetiredPages_v2(
        cause: u32,
        count: Out<u32>,
        addresses: Out<u64>,
        times: Out<u64>
    ) |seen| {
        let pages = retired_pages(seen.gpu, cause)?;
        list(count, addresses, &pages)?;
        if times.is_null() { Ok(()) } else { times.fill(&vec![seen.now_us / 1_000_000; pages.len()]) }
    };

    /// Retired pages, as first defined: without times.
    fn nvmlDeviceGetRetiredPages(cause: u32, count: Out<u32>, addresses: Out<u64>) |seen| {
        list(count, addresses, &retired_pages(seen.gpu, cause)?)
    };

    /// Whether a page waits for a reset to be retired.
    fn nvmlDeviceGetRetiredPagesPendingStatus(to: Out<u32>) |seen| {
        if seen.gpu.traits.remaps_rows() {
            return Err(Status::NOT_SUPPORTED);
        }
        to.put(seen.gpu.retired.2.into())
    };

    /// PCIe replays.
    fn nvmlDeviceGetPcieReplayCounter(to: Out<u32>) |seen| {
        to.put(seen.gpu.pcie.replays.unwrap_or(0))
    };

    /// The PCIe generation the link runs at.
    fn nvmlDeviceGetCurrPcieLinkGeneration(to: Out<u32>) |seen| {
        to.put(seen.gpu.pcie.generation.unwrap_or(0))
    };

    /// The PCIe lanes the link runs on.
    fn nvmlDeviceGetCurrPcieLinkWidth(to: Out<u32>) |seen| to.put(seen.gpu.pcie.width.unwrap_or(0));

    /// The PCIe generation the link could run at.
    fn nvmlDeviceGetMaxPcieLinkGeneration(to: Out<u32>) |seen| {
        to.put(seen.gpu.traits.pcie_generation)
    };

    /// The PCIe lanes the link could run on.
    fn nvmlDeviceGetMaxPcieLinkWidth(to: Out<u32>) |_| to.put(16);

    /// Whether an NVLink is up.
    fn nvmlDeviceGetNvLinkState(link: u32, to: Out<u32>) |seen| {
        has_link(seen.gpu, link)?;
        to.put((link < seen.gpu.nvlink.active.unwrap_or(0)).into())
    };

    /// Errors of an NVLink, by NVML's number of the counter; all are on link 0.
    fn nvmlDeviceGetNvLinkErrorCounter(link: u32, counter: u32, to: Out<u64>) |seen| {
        has_link(seen.gpu, link)?;
        let nvlink = &seen.gpu.nvlink;
        let errors = match counter {
            0 => nvlink.replays,
            1 => nvlink.recoveries,
            2 => nvlink.crc_flit,
            3 => nvlink.crc_data,
            4 => nvlink.ecc_data,
            _ => return Err(Status::INVALID_ARGUMENT),
        };
        to.put(errors.filter(|_| link == 0).unwrap_or(0))
    };
}

/// What NVML's numbers ask for, of a GPU that has ECC on.
fn asked(seen: &Seen, kind: u32, counter: u32) -> Result<(EccKind, Counter), Status> {
    if !seen.gpu.ecc_enabled {
        return Err(Status::NOT_SUPPORTED);
    }
    let kind = match kind {
        0 => EccKind::Corrected,
        1 => EccKind::Uncorrected,
        _ => return Err(Status::INVALID_ARGUMENT),
    };
    match counter {
        0 => Ok((kind, Counter::Volatile)),
        1 => Ok((kind, Counter::Aggregate)),
        _ => Err(Status::INVALID_ARGUMENT),
    }
}

fn errors_at(gpu: &Gpu, counter: Counter, kind: EccKind, place: EccLocation) -> u64 {
    gpu.ecc.at(counter, kind, place as usize).unwrap_or(0)
}

fn sram_status(gpu: &Gpu, version: u32) -> nvmlEccSramErrorStatus_v1_t {
    let sram = |counter, kind| errors_at(gpu, counter, kind, EccLocation::Sram);
    let lasting = sram(Counter::Aggregate, EccKind::Uncorrected);
    nvmlEccSramErrorStatus_v1_t {
        version,
        aggregateUncParity: 0,
        aggregateUncSecDed: lasting,
        aggregateCor: sram(Counter::Aggregate, EccKind::Corrected),
        volatileUncParity: 0,
        volatileUncSecDed: sram(Counter::Volatile, EccKind::Uncorrected),
        volatileCor: sram(Counter::Volatile, EccKind::Corrected),
        aggregateUncBucketL2: 0,
        aggregateUncBucketSm: 0,
        aggregateUncBucketPcie: 0,
        aggregateUncBucketMcu: 0,
        aggregateUncBucketOther: lasting,
        bThresholdExceeded: 0,
    }
}

/// Made-up addresses of pages retired for a cause, by NVML's number of it.
fn retired_pages(gpu: &Gpu, cause: u32) -> Result<Vec<u64>, Status> {
    if gpu.traits.remaps_rows() {
        return Err(Status::NOT_SUPPORTED);
    }
    match cause {
        0 => Ok((0..gpu.retired.0).map(|nth| 0x10_0000 + u64::from(nth)).collect()),
        1 => Ok((0..gpu.retired.1).map(|nth| 0x20_0000 + u64::from(nth)).collect()),
        _ => Err(Status::INVALID_ARGUMENT),
    }
}

fn has_link(gpu: &Gpu, link: u32) -> Reply {
    match link {
        _ if link >= MAX_LINKS => Err(Status::INVALID_ARGUMENT),
        _ if link >= gpu.traits.nvlinks => Err(Status::NOT_SUPPORTED),
        _ => Ok(()),
    }
}
