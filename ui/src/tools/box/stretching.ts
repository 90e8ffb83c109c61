import { bboxFrom } from "../../document/kinds/bbox";
import { distance, type Point, plus } from "../../document/point";
import { clampPoint, rectAround, rectOf, type Size } from "../../document/rect";
import type { LabelId } from "../../wire.gen";
import { draw } from "../draw";
import type { Editor, Pointer } from "../editor";
import type { Preview } from "../preview";
import { CLICK } from "../reach";
import { done, type State } from "../tool";

/** From one corner to the pointer: with the button held, or loose after a first click that did not drag. */
export class Stretching implements State {
	readonly cursor = "crosshair";
	readonly preview: Preview;

	constructor(
		private readonly start: Point,
		end: Point,
		label_id: LabelId | null,
		/** The button is down for the first time: letting go without a drag keeps the corner. */
		private readonly first: boolean,
	) {
		const nothingYet = start[0] === end[0] && start[1] === end[1];
		this.preview = { inHand: nothingYet ? [] : [{ id: null, label_id, geometry: bboxFrom(rectAround([start, end])) }] };
	}

	move(pointer: Pointer, editor: Editor): State {
		return new Stretching(this.start, opposite(this.start, pointer, editor.picture), editor.activeLabel, this.first);
	}

	up(pointer: Pointer, editor: Editor): State {
		const end = opposite(this.start, pointer, editor.picture);
		if (this.first && distance(this.start, end) < CLICK * editor.pixel) {
			return new Stretching(this.start, end, editor.activeLabel, false);
		}
		draw(bboxFrom(rectAround([this.start, end])), editor);
		return done;
	}
}

function opposite(start: Point, pointer: Pointer, picture: Size): Point {
	const end = clampPoint(pointer.at, rectOf(picture));
	return pointer.shift ? squared(start, end, picture) : end;
}

/** The corner of the largest square towards `end` that the picture has room for. */
function squared(start: Point, end: Point, picture: Size): Point {
	const [right, down] = [end[0] >= start[0], end[1] >= start[1]];
	const side = Math.min(
		Math.max(Math.abs(end[0] - start[0]), Math.abs(end[1] - start[1])),
		right ? picture.width - start[0] : start[0],
		down ? picture.height - start[1] : start[1],
	);
	return plus(start, [right ? side : -side, down ? side : -side]);
}
