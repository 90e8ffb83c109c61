import { distance, type Point } from "../../document/point";
import type { AnnotationId } from "../../wire.gen";
import type { Editor, Pointer } from "../editor";
import type { Preview } from "../preview";
import { CLICK } from "../reach";
import { done, type State } from "../tool";

/** An area is dragged open; what lies within it whole is selected. A mere click selects nothing. */
export class Marquee implements State {
	readonly cursor = "default";
	readonly preview: Preview;

	constructor(
		private readonly start: Point,
		private readonly end: Point,
		private readonly kept: readonly AnnotationId[],
	) {
		this.preview = { marquee: [start, end] };
	}

	move({ at }: Pointer): State {
		return new Marquee(this.start, at, this.kept);
	}

	up(_pointer: Pointer, editor: Editor): State {
		const dragged = distance(this.start, this.end) >= CLICK * editor.pixel;
		const within = dragged ? editor.shapesWithin(this.start, this.end) : [];
		editor.select([...this.kept, ...within.map(({ id }) => id)]);
		return done;
	}
}
