//! What holds for the whole of the workspace.

mod tidy;
