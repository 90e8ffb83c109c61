import { tidy } from "../../document/point";
import { clampPoint, rectOf } from "../../document/rect";
import type { State } from "../tool";
import { Drawing } from "./drawing";

export const idle: State = {
	cursor: "crosshair",
	down(pointer, editor) {
		if (!editor.editable) return idle;
		editor.select([]);
		return new Drawing([tidy(clampPoint(pointer.at, rectOf(editor.picture)))], null, editor);
	},
};
