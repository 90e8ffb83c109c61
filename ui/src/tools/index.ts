import { box } from "./box/box";
import { polygon } from "./polygon/polygon";
import { select } from "./select/select";
import type { Tool, ToolName } from "./tool";

export const TOOLS: Record<ToolName, Tool> = { select, box, polygon };
