//! Where an annotation is: pixels of the upright image from its top-left corner, fractions allowed,
//! angles in degrees clockwise. Fields this version does not know are kept and given back.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use ts_rs::TS;

/// A corner of a shape: `[x, y]`.
pub type Point = [f64; 2];

/// A closed line through its points; the last point is joined to the first and is not repeated.
pub type Ring = Vec<Point>;

/// `[x, y, v]`: v is 0 for absent, 1 for hidden, 2 for visible.
pub type Keypoint = (f64, f64, u8);

macro_rules! shape {
    ($(#[$doc:meta])* $name:ident { $($(#[$field_doc:meta])* $field:ident: $type:ty),* $(,)? }) => {
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Serialize, Deserialize, TS)]
        #[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
        pub struct $name {
            $($(#[$field_doc])* pub $field: $type,)*
            /// What a newer version wrote and this one does not know.
            #[serde(flatten)]
            #[ts(skip)]
            pub unknown: Map<String, Value>,
        }
    };
}

shape!(
    /// An upright box.
    Bbox {
        /// Left edge.
        x: f64,
        /// Top edge.
        y: f64,
        /// Never negative.
        #[cfg_attr(feature = "openapi", schema(minimum = 0))]
        width: f64,
        /// Never negative.
        #[cfg_attr(feature = "openapi", schema(minimum = 0))]
        height: f64,
    }
);
shape!(
    /// A rotated box.
    Obb {
        /// Centre.
        cx: f64,
        /// Centre.
        cy: f64,
        /// Before rotation.
        #[cfg_attr(feature = "openapi", schema(minimum = 0))]
        width: f64,
        /// Before rotation.
        #[cfg_attr(feature = "openapi", schema(minimum = 0))]
        height: f64,
        /// Degrees clockwise.
        angle: f64,
    }
);
shape!(
    /// An outer ring, then its holes.
    Polygon {
        /// At least one ring of at least three points.
        #[cfg_attr(feature = "openapi", schema(schema_with = schema::rings))]
        rings: Vec<Ring>,
    }
);
shape!(
    /// Several polygons that are one annotation.
    Multipolygon {
        /// Each as in [`Polygon::rings`].
        #[cfg_attr(feature = "openapi", schema(schema_with = schema::polygons))]
        polygons: Vec<Vec<Ring>>,
    }
);
shape!(
    /// An open line.
    Polyline {
        /// At least two points.
        #[cfg_attr(feature = "openapi", schema(schema_with = schema::line))]
        points: Vec<Point>,
    }
);
shape!(
    /// Named points in the order of the label's skeleton; a single point is one of these.
    Keypoints {
        /// At least one.
        #[cfg_attr(feature = "openapi", schema(schema_with = schema::keypoints))]
        points: Vec<Keypoint>,
    }
);
shape!(
    /// An ellipse.
    Ellipse {
        /// Centre.
        cx: f64,
        /// Centre.
        cy: f64,
        /// Half the width before rotation.
        #[cfg_attr(feature = "openapi", schema(minimum = 0))]
        rx: f64,
        /// Half the height before rotation.
        #[cfg_attr(feature = "openapi", schema(minimum = 0))]
        ry: f64,
        /// Degrees clockwise.
        angle: f64,
    }
);
shape!(
    /// A bitmap over a cut-out of the image.
    Mask {
        /// Left edge of the cut-out.
        x: f64,
        /// Top edge of the cut-out.
        y: f64,
        /// Whole pixels.
        #[cfg_attr(feature = "openapi", schema(minimum = 0))]
        width: f64,
        /// Whole pixels.
        #[cfg_attr(feature = "openapi", schema(minimum = 0))]
        height: f64,
        /// COCO's compressed run-length encoding of the cut-out, column by column
        /// (pycocotools, `maskApi.c`).
        rle: String,
    }
);
shape!(
    /// Says something of the whole image.
    Tag {}
);

/// Every kind of geometry an annotation can have.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, TS)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum Geometry {
    /// An upright box.
    Bbox(Bbox),
    /// A rotated box.
    Obb(Obb),
    /// A polygon with holes.
    Polygon(Polygon),
    /// A polygon of several parts.
    Multipolygon(Multipolygon),
    /// An open line.
    Polyline(Polyline),
    /// Points with visibility.
    Keypoints(Keypoints),
    /// An ellipse.
    Ellipse(Ellipse),
    /// A bitmap.
    Mask(Mask),
    /// Of the whole image.
    Tag(Tag),
}

impl Geometry {
    /// An upright box.
    pub fn bbox(x: f64, y: f64, width: f64, height: f64) -> Self {
        Self::Bbox(Bbox {
            x,
            y,
            width,
            height,
            unknown: Map::new(),
        })
    }

    /// A polygon without holes.
    pub fn polygon(ring: Ring) -> Self {
        Self::Polygon(Polygon {
            rings: vec![ring],
            unknown: Map::new(),
        })
    }

    /// Says why this is no shape, or nothing when it is one.
    pub fn fault(&self) -> Option<&'static str> {
        let sizes: &[f64] = match self {
            Self::Bbox(b) => &[b.width, b.height],
            Self::Obb(b) => &[b.width, b.height],
            Self::Ellipse(e) => &[e.rx, e.ry],
            Self::Mask(m) => &[m.width, m.height],
            _ => &[],
        };
        if sizes.iter().any(|size| *size < 0.0) {
            return Some("a size is negative");
        }
        let short_ring = |rings: &Vec<Ring>| rings.is_empty() || rings.iter().any(|ring| ring.len() < 3);
        match self {
            Self::Polygon(p) if short_ring(&p.rings) => Some("a ring needs three points"),
            Self::Multipolygon(m) if m.polygons.is_empty() || m.polygons.iter().any(short_ring) => {
                Some("a ring needs three points")
            }
            Self::Polyline(l) if l.points.len() < 2 => Some("a line needs two points"),
            Self::Keypoints(k) if k.points.is_empty() => Some("keypoints need a point"),
            Self::Keypoints(k) if k.points.iter().any(|point| point.2 > 2) => {
                Some("a keypoint's visibility is 0, 1 or 2")
            }
            _ => None,
        }
    }
}

/// What a derive cannot say of lists of points.
#[cfg(feature = "openapi")]
mod schema {
    use utoipa::openapi::RefOr;
    use utoipa::openapi::schema::{Array, ArrayBuilder, ArrayItems, ObjectBuilder, Schema, Type};

    fn number() -> ObjectBuilder {
        ObjectBuilder::new().schema_type(Type::Number)
    }

    fn tuple(parts: impl IntoIterator<Item = ObjectBuilder>) -> Array {
        let parts: Vec<Schema> = parts.into_iter().map(Schema::from).collect();
        let length = parts.len();
        ArrayBuilder::new()
            .items(ArrayItems::False)
            .prefix_items(parts)
            .min_items(Some(length))
            .max_items(Some(length))
            .build()
    }

    fn list(of: Array, at_least: usize) -> Array {
        ArrayBuilder::new()
            .items(RefOr::T(Schema::Array(of)))
            .min_items(Some(at_least))
            .build()
    }

    fn points(at_least: usize) -> Array {
        list(tuple([number(), number()]), at_least)
    }

    pub(super) fn line() -> Array {
        points(2)
    }

    pub(super) fn rings() -> Array {
        list(points(3), 1)
    }

    pub(super) fn polygons() -> Array {
        list(rings(), 1)
    }

    pub(super) fn keypoints() -> Array {
        let visibility = ObjectBuilder::new()
            .schema_type(Type::Integer)
            .enum_values(Some([0, 1, 2]));
        list(tuple([number(), number(), visibility]), 1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn fields_of_a_newer_version_come_back_unchanged() {
        let sent = json!({"type": "bbox", "x": 1.0, "y": 2.0, "width": 3.0, "height": 4.0, "score": 0.5});
        let geometry: Geometry = serde_json::from_value(sent.clone()).expect("a box");
        assert_eq!(serde_json::to_value(geometry).expect("JSON"), sent);
    }

    #[test]
    fn s3_a_number_is_the_same_to_the_last_bit_however_often_it_travels() {
        for number in 0..20_000_u32 {
            let x = f64::from(number).sqrt() * 1e3 / 7.0;
            let drawn = Geometry::bbox(x, x / 3.0, x / 9.0, x / 11.0);
            let sent = serde_json::to_string(&drawn).expect("JSON");
            assert_eq!(serde_json::from_str::<Geometry>(&sent).expect("a box"), drawn);
        }
    }

    #[test]
    fn every_kind_has_the_contracts_field_names() {
        for shape in [
            json!({"type": "obb", "cx": 1.0, "cy": 2.0, "width": 3.0, "height": 4.0, "angle": 30.0}),
            json!({"type": "polygon", "rings": [[[0.0, 0.0], [1.0, 0.0], [1.0, 1.0]]]}),
            json!({"type": "multipolygon", "polygons": [[[[0.0, 0.0], [1.0, 0.0], [1.0, 1.0]]]]}),
            json!({"type": "polyline", "points": [[0.0, 0.0], [1.0, 1.0]]}),
            json!({"type": "keypoints", "points": [[0.0, 0.0, 2]]}),
            json!({"type": "ellipse", "cx": 1.0, "cy": 2.0, "rx": 3.0, "ry": 4.0, "angle": 0.0}),
            json!({"type": "mask", "x": 0.0, "y": 0.0, "width": 2.0, "height": 2.0, "rle": "13"}),
            json!({"type": "tag"}),
        ] {
            let geometry: Geometry = serde_json::from_value(shape.clone()).expect("a geometry");
            assert_eq!(geometry.fault(), None, "{shape}");
            assert_eq!(serde_json::to_value(geometry).expect("JSON"), shape);
        }
    }

    #[test]
    fn what_is_no_shape_is_named() {
        assert_eq!(
            Geometry::bbox(0.0, 0.0, -1.0, 1.0).fault(),
            Some("a size is negative")
        );
        assert_eq!(
            Geometry::polygon(vec![[0.0, 0.0]]).fault(),
            Some("a ring needs three points")
        );
    }
}
