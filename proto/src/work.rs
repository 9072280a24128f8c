//! What people do about an incident: where it stands for them, what they ask for, and what is shown
//! of it.

pub mod checklist;
mod command;
mod event;
mod level;
mod shown;
mod stage;
mod standing;

pub use command::{Actor, Ask, Command, Order};
pub use event::{ActionItem, ActionKind, Event, NotOne, What};
pub use level::Level;
pub use shown::{CheckBox, Expected, Notice, Phase, Work};
pub use stage::Stage;
pub use standing::Standing;
