//! The world as this process sees it now.

use std::fs;
use std::io;
use std::ops::Deref;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

use rustix::fs::inotify::{self, CreateFlags, WatchFlags};
use rustix::io::{read, retry_on_intr};

use crate::clock;
use crate::command::Command;
use crate::journal::{Entry, Journal};
use crate::place::Place;
use crate::scenario::Scenario;
use crate::status::Status;
use crate::world::World;

/// A world that follows its journal.
#[derive(Debug)]
pub(crate) struct Live {
    state: Mutex<State>,
    moved: Condvar,
}

/// The world up to some point of the journal.
#[derive(Debug)]
pub(crate) struct State {
    world: World,
    journal: Option<Journal>,
}

impl Deref for State {
    type Target = World;

    fn deref(&self) -> &World {
        &self.world
    }
}

impl Live {
    /// The world of a place, and a thread that follows its journal.
    pub(crate) fn open(place: &Place) -> io::Result<Arc<Self>> {
        let world = begin(place)?;
        let journal = place.journal().map(Journal::open).transpose()?;
        let followed = journal.as_ref().map(|journal| journal.path().to_path_buf());
        let state = Mutex::new(State { world, journal });
        let live = Arc::new(Self { state, moved: Condvar::new() });
        if let Some(path) = followed {
            let watch = inotify::init(CreateFlags::CLOEXEC)?;
            inotify::add_watch(&watch, &path, WatchFlags::MODIFY)?;
            let follower = Arc::clone(&live);
            thread::Builder::new().name("nvml-follow".into()).spawn(move || {
                let mut notices = [0; 4096];
                // Reading blocks until the journal grows; what the notices say does not matter.
                while retry_on_intr(|| read(&watch, &mut notices)).is_ok() {
                    drop(follower.now());
                    follower.moved.notify_all();
                }
            })?;
        }
        Ok(live)
    }

    /// The world with all that the journal says by now.
    pub(crate) fn now(&self) -> MutexGuard<'_, State> {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.catch_up();
        state
    }

    /// Lets go of the world until it changes, or until the time is over.
    pub(crate) fn wait<'a>(
        &self,
        state: MutexGuard<'a, State>,
        at_most: Duration,
    ) -> MutexGuard<'a, State> {
        let woken = self.moved.wait_timeout(state, at_most);
        let (mut state, _) = woken.unwrap_or_else(PoisonError::into_inner);
        state.catch_up();
        state
    }

    /// Lets a call in, once its faults have delayed it, held it or let it fail.
    pub(crate) fn admit(
        &self,
        call: &str,
        gpu: Option<usize>,
    ) -> Result<MutexGuard<'_, State>, Status> {
        let latency_ms = self.now().verdict(call, gpu).latency_ms;
        thread::sleep(Duration::from_millis(latency_ms));
        let mut state = self.now();
        while state.verdict(call, gpu).block {
            state = self.wait(state, Duration::MAX);
        }
        match state.verdict(call, gpu).error {
            Some(error) => Err(Status(error)),
            None => Ok(state),
        }
    }

    /// Carries out a command, for this process and all others, and keeps it.
    pub(crate) fn command(&self, command: Command) -> Result<(), String> {
        let mut state = self.now();
        let at_us = clock::now_us();
        // A command that cannot be carried out must not reach the journal.
        state.world.clone().apply(&command, at_us)?;
        let journal = state.journal.as_mut().ok_or("this world has no journal")?;
        journal.append(&Entry { at_us, command }).map_err(|error| error.to_string())?;
        state.catch_up();
        drop(state);
        self.moved.notify_all();
        Ok(())
    }
}

impl State {
    fn catch_up(&mut self) {
        let Some(journal) = &mut self.journal else { return };
        match journal.news() {
            Ok(entries) => entries.iter().for_each(|entry| self.carry_out(entry)),
            Err(error) => eprintln!("nvml-standin: journal: {error}"),
        }
    }

    fn carry_out(&mut self, entry: &Entry) {
        if let Err(reason) = self.world.apply(&entry.command, entry.at_us) {
            eprintln!("nvml-standin: {:?}: {reason}", entry.command);
        }
    }
}

/// The world a place's scenario begins with. It begins when its file was last written, which is
/// the same for every process that reads it.
fn begin(place: &Place) -> io::Result<World> {
    let (scenario, born_us) = match &place.scenario {
        None => (Scenario::default(), clock::now_us()),
        Some(path) => {
            let scenario = serde_json::from_slice(&fs::read(path)?)?;
            (scenario, clock::micros(fs::metadata(path)?.modified()?))
        }
    };
    World::begin(scenario, born_us).map_err(io::Error::other)
}
