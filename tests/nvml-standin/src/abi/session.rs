//! What a process that has loaded the library holds: its world and its event sets.

use std::collections::BTreeMap;
use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::live::Live;
use crate::place::Place;
use crate::server;
use crate::status::{Reply, Status};

use super::events::EventSet;

/// The one session of this process.
static SESSION: Mutex<Session> = Mutex::new(Session::new());

/// What initialisation has left, counted as NVML counts it.
struct Session {
    users: u32,
    opened: Option<(Place, Arc<Live>)>,
    sets: BTreeMap<usize, Arc<Mutex<EventSet>>>,
    sets_made: usize,
}

impl Session {
    const fn new() -> Self {
        Self { users: 0, opened: None, sets: BTreeMap::new(), sets_made: 0 }
    }

    /// The world of the place that is named now; one that was opened before is used again, as its
    /// threads run until the process ends.
    fn open(&mut self) -> io::Result<Arc<Live>> {
        let place = Place::find();
        match &self.opened {
            Some((known, live)) if *known == place || self.users > 0 => Ok(Arc::clone(live)),
            _ => {
                let live = Live::open(&place)?;
                if let Some(socket) = &place.control {
                    server::serve(Arc::clone(&live), socket.clone())?;
                }
                self.opened = Some((place, Arc::clone(&live)));
                Ok(live)
            }
        }
    }
}

fn session() -> MutexGuard<'static, Session> {
    SESSION.lock().unwrap_or_else(PoisonError::into_inner)
}

/// One more user of the library; `call` is the symbol it came by.
pub(super) fn begin(call: &str) -> Reply {
    let opened = session().open();
    let live = opened.map_err(|error| {
        eprintln!("nvml-standin: cannot open the world: {error}");
        Status::UNKNOWN
    })?;
    // The session is not locked here, as a fault may hold this call for ever.
    drop(live.admit(call, None)?);
    session().users += 1;
    Ok(())
}

/// One user fewer; the last one's event sets end.
pub(super) fn end(call: &str) -> Reply {
    drop(live()?.admit(call, None)?);
    let mut session = session();
    session.users = session.users.saturating_sub(1);
    if session.users == 0 {
        session.sets.clear();
    }
    Ok(())
}

/// The world, once somebody has initialised the library.
pub(super) fn live() -> Result<Arc<Live>, Status> {
    let session = session();
    let opened = session.opened.as_ref().filter(|_| session.users > 0);
    opened.map(|(_, live)| Arc::clone(live)).ok_or(Status::UNINITIALIZED)
}

/// Makes an event set and gives its number.
pub(super) fn make_set() -> usize {
    let mut session = session();
    session.sets_made += 1;
    let number = session.sets_made;
    session.sets.insert(number, Arc::default());
    number
}

/// The event set of a number.
pub(super) fn set(number: usize) -> Result<Arc<Mutex<EventSet>>, Status> {
    session().sets.get(&number).cloned().ok_or(Status::INVALID_ARGUMENT)
}

/// Ends an event set.
pub(super) fn free_set(number: usize) -> Reply {
    session().sets.remove(&number).map(drop).ok_or(Status::INVALID_ARGUMENT)
}
