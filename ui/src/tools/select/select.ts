/** Selects, moves and reshapes what is there. */

import type { Tool } from "../tool";
import { idle } from "./idle";

export const select: Tool = { name: "select", idle };
