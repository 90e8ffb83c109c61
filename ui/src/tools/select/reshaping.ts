import { edit, put } from "../../document";
import { handles, isSpeck, withHandleAt } from "../../document/geometry";
import { minus, type Point, plus } from "../../document/point";
import type { AnnotationView, Geometry } from "../../wire.gen";
import type { Editor, Pointer } from "../editor";
import type { Preview } from "../preview";
import { SPECK } from "../reach";
import { done, type State } from "../tool";

/** One handle of one shape follows the pointer. */
export class Reshaping implements State {
	readonly preview: Preview;

	private constructor(
		private readonly before: AnnotationView,
		/** What the pointer pulls at: it differs from `before` by a vertex that was just added. */
		private readonly origin: Geometry,
		private readonly handle: number,
		/** From the pointer to the handle: a press beside it does not make it jump. */
		private readonly offset: Point,
		private readonly now: Geometry,
		readonly cursor: string,
	) {
		this.preview = { inHand: [{ ...before, geometry: now }] };
	}

	static from(shape: AnnotationView, index: number, { at }: Pointer, editor: Editor, origin = shape.geometry): State {
		const handle = handles(origin, editor.pixel)[index];
		if (!handle) return done;
		return new Reshaping(shape, origin, index, minus(handle.at, at), origin, handle.cursor);
	}

	move({ at, shift }: Pointer, editor: Editor): State {
		const now = withHandleAt(this.origin, this.handle, plus(at, this.offset), shift, editor.picture);
		return new Reshaping(this.before, this.origin, this.handle, this.offset, now, this.cursor);
	}

	up(_pointer: Pointer, editor: Editor): State {
		const meant = this.now !== this.before.geometry && !isSpeck(this.now, SPECK * editor.pixel);
		if (meant) editor.commit(edit(put(this.before.id, { ...this.before, geometry: this.now })));
		return done;
	}
}
