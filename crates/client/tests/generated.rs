//! The window's TypeScript types are written from the Rust ones, and this fails when they have drifted.
//! `cargo xtask gen` writes them anew.

use std::collections::BTreeMap;
use std::path::Path;

use lockstep_client::view::{
    AccountView, ConflictView, Edit, Event, ImageRow, KeptVersion, OpenOutcome, OpenedImage, ProjectView,
    Resolution,
};
use lockstep_wire::Label;
use ts_rs::{Config, TS, TypeVisitor};

#[derive(Default)]
struct Declarations(BTreeMap<String, String>);

impl Declarations {
    fn declare<T: TS + 'static + ?Sized>(&mut self) {
        let config = Config::new().with_large_int("number");
        if T::output_path().is_none() {
            return;
        }
        let name = T::ident(&config);
        if self.0.contains_key(&name) {
            return;
        }
        let docs = T::docs().unwrap_or_default();
        self.0
            .insert(name, format!("{docs}export {}\n", T::decl(&config)));
        T::visit_dependencies(self);
    }
}

impl TypeVisitor for Declarations {
    fn visit<T: TS + 'static + ?Sized>(&mut self) {
        self.declare::<T>();
    }
}

#[test]
fn the_windows_types_are_the_cores_types() {
    let mut all = Declarations::default();
    all.declare::<AccountView>();
    all.declare::<ProjectView>();
    all.declare::<ImageRow>();
    all.declare::<Label>();
    all.declare::<OpenOutcome>();
    all.declare::<OpenedImage>();
    all.declare::<Edit>();
    all.declare::<ConflictView>();
    all.declare::<Resolution>();
    all.declare::<KeptVersion>();
    all.declare::<Event>();

    let mut text = String::from("// Written from the Rust types by `cargo xtask gen`; never edited.\n");
    for declaration in all.0.values() {
        text.push('\n');
        text.push_str(declaration);
    }

    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../ui/src/wire.gen.ts");
    if std::env::var_os("LOCKSTEP_BLESS").is_some() {
        std::fs::write(&path, &text).expect("the window's sources can be written");
    }
    let stored = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(
        stored == text,
        "ui/src/wire.gen.ts is stale: run `cargo xtask gen`"
    );
}
