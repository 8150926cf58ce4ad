//! Admits: from the files that an operator writes to settings and the keeper's plan, or to problems that say what
//! would be right. It never touches the network, and never prints.

pub mod settings;
