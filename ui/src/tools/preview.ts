/** What a gesture shows before it is an edit. */

import type { Point } from "../document/point";
import type { AnnotationId, Geometry, LabelId } from "../wire.gen";

/** A shape as it would be if the gesture ended now. */
export interface InHand {
	/** The shape that it would replace, which is not drawn meanwhile; `null`: a new one. */
	id: AnnotationId | null;
	label_id: LabelId | null;
	geometry: Geometry;
}

/** An outline that is being drawn point by point. */
export interface Sketch {
	label_id: LabelId | null;
	points: readonly Point[];
	/** Where the next point would be. */
	next: Point | null;
	/** The next click joins it to its first point. */
	closes: boolean;
}

export interface Preview {
	inHand?: readonly InHand[];
	sketch?: Sketch;
	/** Two corners of the area that is being selected. */
	marquee?: readonly [Point, Point];
	/** What a click would select. */
	hovered?: AnnotationId | null;
}
