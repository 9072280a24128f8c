//! Pointers that C callers hand over.

use std::ffi::{CStr, c_char};
use std::slice;

use crate::status::{Reply, Status};

/// A pointer a caller has handed over: null, or valid for what NVML says is read and written there.
#[derive(Clone, Copy)]
#[repr(transparent)]
pub(super) struct Out<T>(*mut T);

impl<T: Copy> Out<T> {
    /// A pointer found in a structure the caller has handed over.
    pub(super) fn at(pointer: *mut T) -> Self {
        Self(pointer)
    }

    /// Whether the caller gave none.
    pub(super) fn is_null(self) -> bool {
        self.0.is_null()
    }

    /// Reads what is there.
    pub(super) fn get(self) -> Result<T, Status> {
        self.checked()?;
        // SAFETY: not null, so by NVML's contract valid and aligned; `T` is plain data.
        Ok(unsafe { self.0.read() })
    }

    /// Writes a value there.
    pub(super) fn put(self, value: T) -> Reply {
        self.fill(&[value])
    }

    /// Writes values there, one after another.
    pub(super) fn fill(self, values: &[T]) -> Reply {
        self.checked()?;
        // SAFETY: not null, so by NVML's contract there is room for the values; NVML's callers own
        // the memory, so it does not overlap ours.
        unsafe { self.0.copy_from_nonoverlapping(values.as_ptr(), values.len()) };
        Ok(())
    }

    /// So many values there, to change in place.
    pub(super) fn values<'a>(self, count: usize) -> Result<&'a mut [T], Status> {
        self.checked()?;
        // SAFETY: not null, so by NVML's contract there are so many values, and the caller leaves
        // them alone until the call returns.
        Ok(unsafe { slice::from_raw_parts_mut(self.0, count) })
    }

    fn checked(self) -> Reply {
        if self.is_null() { Err(Status::INVALID_ARGUMENT) } else { Ok(()) }
    }
}

impl Out<c_char> {
    /// Writes a string and its end, if there is room.
    pub(super) fn put_text(self, text: &str, room: u32) -> Reply {
        let bytes: Vec<c_char> = text.bytes().chain([0]).map(|byte| byte as c_char).collect();
        if bytes.len() > room as usize {
            return Err(Status::INSUFFICIENT_SIZE);
        }
        self.fill(&bytes)
    }
}

/// A string a caller has handed over.
#[derive(Clone, Copy)]
#[repr(transparent)]
pub(super) struct Text(*const c_char);

impl Text {
    /// The string.
    pub(super) fn get(self) -> Result<String, Status> {
        if self.0.is_null() {
            return Err(Status::INVALID_ARGUMENT);
        }
        // SAFETY: not null, so by NVML's contract a C string.
        Ok(unsafe { CStr::from_ptr(self.0) }.to_string_lossy().into_owned())
    }
}

/// NVML's way to give a list: `count` says how much room there is and comes back as what was there
/// to give; a caller without room, or without an array, learns the count and asks again.
pub(super) fn list<T: Copy>(count: Out<u32>, array: Out<T>, items: &[T]) -> Reply {
    let room = count.get()?;
    count.put(u32::try_from(items.len()).unwrap_or(u32::MAX))?;
    if items.is_empty() {
        return Ok(());
    }
    if array.is_null() || (room as usize) < items.len() {
        return Err(Status::INSUFFICIENT_SIZE);
    }
    array.fill(items)
}
