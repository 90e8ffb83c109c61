//! Three sides of one annotation become one, or a conflict that names its fields.
//!
//! **Invariant:** nothing here reads anything but its arguments; a field that one side alone changed is never
//! asked about.

use std::collections::BTreeSet;

use lockstep_wire::AnnotationFields;
use serde_json::{Map, Value};

/// What a merge comes to. `None` for fields means: deleted.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Merged {
    /// No field was changed by both.
    Clean(Option<AnnotationFields>),
    /// These were: `label_id`, `geometry`, `attributes.NAME`, or `deleted`.
    Conflict(Vec<String>),
}

/// Merges `mine` and `theirs`, both made from `base`; `None` is "not there".
pub(crate) fn merge(
    base: Option<&AnnotationFields>,
    mine: Option<&AnnotationFields>,
    theirs: Option<&AnnotationFields>,
) -> Merged {
    if mine == theirs {
        return Merged::Clean(mine.cloned());
    }
    if mine == base {
        return Merged::Clean(theirs.cloned());
    }
    if theirs == base {
        return Merged::Clean(mine.cloned());
    }
    let (Some(mine), Some(theirs)) = (mine, theirs) else {
        return Merged::Conflict(vec!["deleted".to_owned()]);
    };
    let mut both = Vec::new();
    let label_id = pick(
        "label_id",
        base.map(|b| &b.label_id),
        &mine.label_id,
        &theirs.label_id,
        &mut both,
    );
    let geometry = pick(
        "geometry",
        base.map(|b| &b.geometry),
        &mine.geometry,
        &theirs.geometry,
        &mut both,
    );
    let attributes = merge_attributes(
        base.map(|b| &b.attributes),
        &mine.attributes,
        &theirs.attributes,
        &mut both,
    );
    if both.is_empty() {
        Merged::Clean(Some(AnnotationFields {
            label_id: label_id.clone(),
            geometry: geometry.clone(),
            attributes,
        }))
    } else {
        Merged::Conflict(both)
    }
}

/// The side that changed; notes the name where both did, each in its own way.
fn pick<'a, T: PartialEq>(
    name: &str,
    base: Option<&T>,
    mine: &'a T,
    theirs: &'a T,
    both: &mut Vec<String>,
) -> &'a T {
    if mine == theirs || base == Some(theirs) {
        mine
    } else if base == Some(mine) {
        theirs
    } else {
        both.push(name.to_owned());
        mine
    }
}

fn merge_attributes(
    base: Option<&Map<String, Value>>,
    mine: &Map<String, Value>,
    theirs: &Map<String, Value>,
    both: &mut Vec<String>,
) -> Map<String, Value> {
    let names: BTreeSet<&String> = base
        .into_iter()
        .flat_map(Map::keys)
        .chain(mine.keys())
        .chain(theirs.keys())
        .collect();
    let mut merged = Map::new();
    for name in names {
        let was = base.map(|base| base.get(name));
        let value = pick(
            &format!("attributes.{name}"),
            was.as_ref(),
            &mine.get(name),
            &theirs.get(name),
            both,
        )
        .cloned();
        merged.extend(value.map(|value| (name.clone(), value)));
    }
    merged
}

#[cfg(test)]
mod tests {
    use super::*;
    use lockstep_wire::Geometry;

    /// `"cat 10 a=1 b=2"`: a label (`-` for none), a box whose left edge is at 10, attributes. `""`: deleted.
    fn read(text: &str) -> Option<AnnotationFields> {
        let mut words = text.split_whitespace();
        let label = words.next()?;
        let x = words.next().expect("where the box is").parse().expect("a number");
        Some(AnnotationFields {
            label_id: (label != "-").then(|| label.into()),
            geometry: Geometry::bbox(x, 0.0, 5.0, 5.0),
            attributes: words
                .map(|word| word.split_once('=').expect("NAME=VALUE"))
                .map(|(name, value)| (name.to_owned(), Value::from(value)))
                .collect(),
        })
    }

    /// base | mine | theirs | merged, or `!` and the fields in conflict.
    const CASES: &[[&str; 4]] = &[
        ["cat 10", "cat 10", "cat 10", "cat 10"],
        ["cat 10", "cat 20", "cat 10", "cat 20"],
        ["cat 10", "cat 10", "dog 10", "dog 10"],
        ["cat 10", "cat 20", "dog 10", "dog 20"],
        ["cat 10", "cat 20", "cat 20", "cat 20"],
        ["cat 10", "cat 20", "cat 30", "! geometry"],
        ["cat 10", "dog 10", "cow 10", "! label_id"],
        ["cat 10", "dog 20", "cow 30", "! label_id geometry"],
        ["cat 10", "- 10", "cat 20", "- 20"],
        ["cat 10", "- 10", "dog 10", "! label_id"],
        ["cat 10 a=1", "cat 10 a=2", "cat 10 a=1 b=1", "cat 10 a=2 b=1"],
        ["cat 10 a=1", "cat 10 a=2", "cat 10 a=3", "! attributes.a"],
        ["cat 10 a=1", "cat 10", "cat 10 a=1 b=1", "cat 10 b=1"],
        ["cat 10 a=1", "cat 10", "cat 10 a=2", "! attributes.a"],
        ["cat 10", "cat 10 a=1", "cat 10 a=1", "cat 10 a=1"],
        ["cat 10", "cat 10 a=1", "cat 20 a=2", "! attributes.a"],
        ["cat 10", "", "cat 10", ""],
        ["cat 10", "cat 10", "", ""],
        ["cat 10", "", "", ""],
        ["cat 10", "", "cat 20", "! deleted"],
        ["cat 10", "cat 20", "", "! deleted"],
        ["", "cat 10", "cat 10", "cat 10"],
        ["", "cat 10", "cat 20", "! geometry"],
        ["", "cat 10", "", "cat 10"],
    ];

    #[test]
    fn e25_every_case_of_base_mine_and_theirs_comes_to_what_the_table_says() {
        for [base, mine, theirs, merged] in CASES {
            let expected = match merged.strip_prefix('!') {
                Some(fields) => Merged::Conflict(fields.split_whitespace().map(str::to_owned).collect()),
                None => Merged::Clean(read(merged)),
            };
            let case = format!("base {base:?}, mine {mine:?}, theirs {theirs:?}");
            let (base, mine, theirs) = (read(base), read(mine), read(theirs));
            assert_eq!(
                merge(base.as_ref(), mine.as_ref(), theirs.as_ref()),
                expected,
                "{case}"
            );
            assert_eq!(
                merge(base.as_ref(), theirs.as_ref(), mine.as_ref()),
                expected,
                "{case}, sides swapped"
            );
        }
    }
}
