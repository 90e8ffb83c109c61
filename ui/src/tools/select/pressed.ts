import { distance, type Point } from "../../document/point";
import type { AnnotationId, AnnotationView } from "../../wire.gen";
import type { Editor, Pointer } from "../editor";
import { CLICK } from "../reach";
import { done, type State } from "../tool";
import { Moving } from "./moving";

/** On a shape: not yet known whether this is a click or a drag. */
export class Pressed implements State {
	readonly cursor = "move";

	private constructor(
		private readonly start: Point,
		/** What a click selects, when the press alone has not done so. */
		private readonly clicked: readonly AnnotationId[] | null,
	) {}

	static on(shape: AnnotationView, { at, shift }: Pointer, editor: Editor): State {
		const { selection } = editor.document;
		if (selection.has(shape.id)) {
			// Of several, one press may still mean to drag them all; so the choice waits for the release.
			const others = [...selection].filter((id) => id !== shape.id);
			return new Pressed(at, shift ? others : [shape.id]);
		}
		editor.select(shift ? [...selection, shape.id] : [shape.id]);
		return new Pressed(at, null);
	}

	move(pointer: Pointer, editor: Editor): State {
		if (distance(pointer.at, this.start) < CLICK * editor.pixel) return this;
		const movable = editor.document.selected.filter((shape) => editor.editable && shape.editable);
		return movable.length > 0 ? new Moving(this.start, movable, movable).move(pointer, editor) : this;
	}

	up(_pointer: Pointer, editor: Editor): State {
		if (this.clicked) editor.select(this.clicked);
		return done;
	}
}
