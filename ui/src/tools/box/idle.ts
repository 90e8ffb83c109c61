import { clampPoint, rectOf } from "../../document/rect";
import type { State } from "../tool";
import { Stretching } from "./stretching";

export const idle: State = {
	cursor: "crosshair",
	down(pointer, editor) {
		if (!editor.editable) return idle;
		editor.select([]);
		const start = clampPoint(pointer.at, rectOf(editor.picture));
		return new Stretching(start, start, null, true);
	},
};
