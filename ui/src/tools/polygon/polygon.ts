/** Draws polygons, a click a vertex. Never takes hold of what is there already. */

import type { Tool } from "../tool";
import { idle } from "./idle";

export const polygon: Tool = { name: "polygon", idle };
