/** Draws boxes, by dragging or by two clicks. Never takes hold of what is there already. */

import type { Tool } from "../tool";
import { idle } from "./idle";

export const box: Tool = { name: "box", idle };
