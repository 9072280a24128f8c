//! Runbooks: what a page says, as types. Who reads the files is elsewhere.

mod page;
mod question;

pub use page::{
    Branch, EscalateAfter, Goto, NoPatience, Page, Patience, SafeAction, Step, Summary, When,
};
pub use question::{NoQuestion, Question, parse_reads, written_reads};
