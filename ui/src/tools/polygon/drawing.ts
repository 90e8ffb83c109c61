import { alongEighth, distance, type Point, tidy } from "../../document/point";
import { clampPoint, rectOf } from "../../document/rect";
import { draw } from "../draw";
import type { Editor, Pointer } from "../editor";
import type { Preview } from "../preview";
import { CLICK, HANDLE } from "../reach";
import { done, type State } from "../tool";

export class Drawing implements State {
	readonly cursor: string;
	readonly preview: Preview;

	constructor(
		private readonly points: readonly Point[],
		next: Point | null,
		editor: Editor,
	) {
		const closes = next !== null && this.#closedBy(next, editor);
		this.cursor = closes ? "pointer" : "crosshair";
		this.preview = { sketch: { label_id: editor.activeLabel, points, next, closes } };
	}

	move(pointer: Pointer, editor: Editor): State {
		return new Drawing(this.points, this.#next(pointer, editor), editor);
	}

	down(pointer: Pointer, editor: Editor): State {
		if (this.#closedBy(pointer.at, editor)) return this.#finish(editor);
		const next = this.#next(pointer, editor);
		// The second press of a double click is not a second vertex.
		if (distance(next, this.#last) < CLICK * editor.pixel) return this;
		return new Drawing([...this.points, next], next, editor);
	}

	doubleClick(_pointer: Pointer, editor: Editor): State {
		return this.#finish(editor);
	}

	key(key: string, editor: Editor): State | null {
		if (key === "Enter") return this.#finish(editor);
		if (key !== "Backspace") return null;
		const points = this.points.slice(0, -1);
		return points.length > 0 ? new Drawing(points, this.preview.sketch?.next ?? null, editor) : done;
	}

	/** With fewer than three vertices there is nothing to finish yet. */
	#finish(editor: Editor): State {
		if (this.points.length < 3) return this;
		draw({ type: "polygon", rings: [[...this.points]] }, editor);
		return done;
	}

	get #last(): Point {
		return this.points[this.points.length - 1] as Point;
	}

	#next(pointer: Pointer, editor: Editor): Point {
		const at = pointer.shift ? alongEighth(this.#last, pointer.at) : pointer.at;
		return tidy(clampPoint(at, rectOf(editor.picture)));
	}

	#closedBy(at: Point, editor: Editor): boolean {
		return this.points.length >= 3 && distance(at, this.points[0] as Point) <= HANDLE * editor.pixel;
	}
}
