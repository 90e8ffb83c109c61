//! The program `lockstep-server`.
fn main() {}
