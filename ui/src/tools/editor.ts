/** What a tool may know and do: the narrow side of the canvas. A test stands in for it without a browser. */

import type { ImageDocument } from "../document";
import type { Point } from "../document/point";
import type { Size } from "../document/rect";
import type { AnnotationView, Edit, LabelId } from "../wire.gen";

export interface Editor {
	readonly document: ImageDocument;
	readonly picture: Size;
	/** The size of a screen pixel on the picture: what fingers reach does not depend on the zoom. */
	readonly pixel: number;
	readonly editable: boolean;
	/** What a new shape is. */
	readonly activeLabel: LabelId | null;
	/** The topmost shape at a place. */
	shapeAt(at: Point): AnnotationView | null;
	shapesWithin(corner: Point, opposite: Point): AnnotationView[];
	commit(edit: Edit): void;
	select(ids: Iterable<string>): void;
}

export interface Modifiers {
	shift: boolean;
	alt: boolean;
}

/** The primary button's pointer. */
export interface Pointer extends Modifiers {
	/** On the picture's scale, and not always on the picture. */
	at: Point;
}
