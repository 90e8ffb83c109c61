//! The OpenAPI document is whole, and `openapi.json` is the one this code makes. `cargo xtask gen` writes it anew.

use std::collections::BTreeSet;
use std::path::Path;

use serde_json::Value;

fn document() -> Value {
    serde_json::from_str(lockstep_server::openapi()).expect("JSON")
}

fn operations(document: &Value) -> impl Iterator<Item = (String, &Value)> {
    let paths = document["paths"].as_object().expect("paths");
    paths.iter().flat_map(|(path, item)| {
        let methods = item.as_object().expect("methods");
        methods
            .iter()
            .map(move |(method, operation)| (format!("{method} {path}"), operation))
    })
}

#[test]
fn the_stored_document_is_the_one_this_code_makes() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("openapi.json");
    if std::env::var_os("LOCKSTEP_BLESS").is_some() {
        std::fs::write(&path, lockstep_server::openapi()).expect("the document can be written");
    }
    let stored = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(
        stored == lockstep_server::openapi(),
        "crates/server/openapi.json is stale: run `cargo xtask gen`"
    );
}

#[test]
fn every_operation_has_a_name_of_its_own_and_says_how_it_succeeds() {
    let document = document();
    let mut names = BTreeSet::new();
    for (route, operation) in operations(&document) {
        let name = operation["operationId"].as_str().expect("a name");
        assert!(
            names.insert(name.to_owned()),
            "{route} is called {name} like another"
        );
        let answers = operation["responses"].as_object().expect("answers");
        assert!(
            answers.keys().any(|status| status.starts_with('2')),
            "{route} never succeeds"
        );
        assert!(
            operation["x-access"].is_string(),
            "{route} is for nobody in particular"
        );
    }
}

#[test]
fn every_shape_that_is_referred_to_is_there() {
    fn references<'a>(value: &'a Value, found: &mut BTreeSet<&'a str>) {
        match value {
            Value::Object(fields) => {
                found.extend(fields.get("$ref").and_then(Value::as_str));
                fields.values().for_each(|value| references(value, found));
            }
            Value::Array(values) => values.iter().for_each(|value| references(value, found)),
            _ => {}
        }
    }
    let document = document();
    let mut found = BTreeSet::new();
    references(&document, &mut found);
    assert!(!found.is_empty(), "nothing refers to anything");
    for reference in found {
        let pointer = reference.strip_prefix('#').expect("a place in the document");
        assert!(document.pointer(pointer).is_some(), "{reference} is nowhere");
    }
}

/// Two shapes under one name: one of them is lost, and what refers to it refers to itself.
#[test]
fn no_shape_is_made_of_itself() {
    fn made_of<'a>(document: &'a Value, shape: &'a Value, found: &mut BTreeSet<&'a str>) {
        for how in ["allOf", "oneOf", "anyOf"] {
            for part in shape[how].as_array().into_iter().flatten() {
                let Some(reference) = part["$ref"].as_str() else {
                    made_of(document, part, found);
                    continue;
                };
                if found.insert(reference) {
                    let pointer = reference.strip_prefix('#').expect("a place in the document");
                    made_of(document, document.pointer(pointer).expect("a shape"), found);
                }
            }
        }
    }
    let document = document();
    for (name, shape) in document["components"]["schemas"].as_object().expect("shapes") {
        let mut found = BTreeSet::new();
        made_of(&document, shape, &mut found);
        let itself = format!("#/components/schemas/{name}");
        assert!(!found.contains(itself.as_str()), "{name}");
    }
}

#[test]
fn the_placeholders_of_a_path_are_its_parameters() {
    let document = document();
    for (route, operation) in operations(&document) {
        let places = route
            .split('/')
            .filter_map(|part| part.strip_prefix('{')?.strip_suffix('}'));
        let none = Vec::new();
        let parameters = operation["parameters"].as_array().unwrap_or(&none);
        let named = parameters.iter().filter(|parameter| parameter["in"] == "path");
        let named = named.map(|parameter| parameter["name"].as_str().expect("a name"));
        assert!(places.eq(named), "{route}");
    }
}
