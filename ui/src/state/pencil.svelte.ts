/** What the hand holds: the tool, and the label of the next shape. It stays from image to image. */

import type { ToolName } from "../tools/tool";
import type { LabelId } from "../wire.gen";

export class Pencil {
	tool = $state<ToolName>("select");
	label = $state<LabelId | null>(null);
}
