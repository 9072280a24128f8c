//! How people and systems are told of incidents.
//!
//! ```text
//! facts ─► Message ─► Delivery ─► Teller: words ─► request ─► Sender ─► answer ─► verdict ─┐
//!                        ▲ └─► rows on disk                                                │
//!                        └─────────────────────────────────────────────────────────────────┘
//! ```
//!
//! - [`message`]: what is told, and in which words; pure
//! - [`destination`]: a request of the words, a verdict of the answer, one file a destination; pure
//! - [`delivery`]: the outbox: order, rates, tries, bundles, quiet hours; pure
//! - [`sender`]: the only I/O: HTTPS and SMTP
//! - [`teller`]: tells one thing: all of the above but the outbox
//! - [`config`]: `[notify]` and `[[destination]]`
//! - [`secret`]: what must not be seen
//!
//! # To use it
//!
//! Whoever has incidents owns one [`delivery::Delivery`] in one task, and a store for its rows:
//!
//! 1. At the start: [`config::Settings::read`] beside one's own settings, [`teller::Teller::new`],
//!    and [`delivery::Delivery::restore`] with [`teller::Teller::policies`] and the rows of the store
//!    (JSON, by their key). Its outputs are carried out like all others.
//! 2. To tell something: [`delivery::Input::Notify`] with a [`delivery::Key`] that says what makes it
//!    the same (so a replay of what led to it asks for it again and changes nothing), and a
//!    [`message::Message`] for the [`config::Destination::audience`] of its destination.
//! 3. Outputs, in order: all `Persist` and `Forget` of one call in one transaction; after its commit
//!    each `Send` in a task of its own, [`teller::Teller::tell`], whose verdict comes back as
//!    [`delivery::Input::Answered`], always and once. `Dead` goes into the incident's history.
//! 4. [`delivery::Input::Tick`] at [`delivery::Delivery::next_wake`].
//! 5. What is pressed in Slack: the body to the byte and its two headers to
//!    [`destination::interaction::read`]; answer 200 within three seconds, then act.
//!
//! A test of all of this in the small is `tests/told.rs`.

pub mod config;
pub mod delivery;
pub mod destination;
pub mod message;
pub mod secret;
pub mod sender;
pub mod teller;
