//! The program `lockstep`.

// A console window beside the real one helps nobody on Windows.
#![cfg_attr(all(not(debug_assertions), windows), windows_subsystem = "windows")]

fn main() -> anyhow::Result<()> {
    lockstep_app::run(lockstep_app::Options::from_args())
}
