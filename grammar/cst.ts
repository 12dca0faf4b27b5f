// The shapes of the concrete tree, printed from the parser by a test; do not edit.

import type { CstNode, IToken } from "chevrotain";

export interface FileCstNode extends CstNode { name: "file"; children: FileCstChildren; }
export type FileCstChildren = {
  item?: ItemCstNode[];
};

export interface ItemCstNode extends CstNode { name: "item"; children: ItemCstChildren; }
export type ItemCstChildren = {
  import?: ImportCstNode[];
  fn?: FnCstNode[];
  op?: OpCstNode[];
  block?: BlockCstNode[];
  network?: NetworkCstNode[];
  dial?: DialCstNode[];
  data?: DataCstNode[];
  run?: RunCstNode[];
  check?: CheckCstNode[];
  const?: ConstCstNode[];
};

export interface ImportCstNode extends CstNode { name: "import"; children: ImportCstChildren; }
export type ImportCstChildren = {
  Import: IToken[];
  LeftBrace?: IToken[];
  imported?: (ImportedCstNode)[];
  Comma?: (IToken)[];
  RightBrace?: IToken[];
  From?: IToken[];
  Text?: (IToken)[];
  As?: IToken[];
  Name?: IToken[];
};

export interface ImportedCstNode extends CstNode { name: "imported"; children: ImportedCstChildren; }
export type ImportedCstChildren = {
  Name: (IToken)[];
  As?: IToken[];
};

export interface ConstCstNode extends CstNode { name: "const"; children: ConstCstChildren; }
export type ConstCstChildren = {
  Name: IToken[];
  Define: IToken[];
  expr: ExprCstNode[];
};

export interface DialCstNode extends CstNode { name: "dial"; children: DialCstChildren; }
export type DialCstChildren = {
  Dial: IToken[];
  Name: IToken[];
  Colon?: IToken[];
  type?: TypeCstNode[];
  Define: IToken[];
  expr: (ExprCstNode)[];
  Where?: IToken[];
  Comma?: IToken[];
};

export interface FnCstNode extends CstNode { name: "fn"; children: FnCstChildren; }
export type FnCstChildren = {
  Fn: IToken[];
  Name: IToken[];
  params: ParamsCstNode[];
  meaning: MeaningCstNode[];
};

export interface ParamsCstNode extends CstNode { name: "params"; children: ParamsCstChildren; }
export type ParamsCstChildren = {
  LeftParen: IToken[];
  Name?: (IToken)[];
  Comma?: (IToken)[];
  RightParen: IToken[];
};

export interface MeaningCstNode extends CstNode { name: "meaning"; children: MeaningCstChildren; }
export type MeaningCstChildren = {
  Define?: IToken[];
  expr?: ExprCstNode[];
  body?: BodyCstNode[];
};

export interface OpCstNode extends CstNode { name: "op"; children: OpCstChildren; }
export type OpCstChildren = {
  Op: IToken[];
  Name: IToken[];
  ports: PortsCstNode[];
  Arrow: IToken[];
  results: ResultsCstNode[];
  where?: WhereCstNode[];
  body: BodyCstNode[];
};

export interface BlockCstNode extends CstNode { name: "block"; children: BlockCstChildren; }
export type BlockCstChildren = {
  Block: IToken[];
  Name: IToken[];
  ports: PortsCstNode[];
  Arrow?: IToken[];
  results?: ResultsCstNode[];
  where?: WhereCstNode[];
  meaning: MeaningCstNode[];
};

export interface NetworkCstNode extends CstNode { name: "network"; children: NetworkCstChildren; }
export type NetworkCstChildren = {
  Network: IToken[];
  Name: IToken[];
  Define?: IToken[];
  expr?: ExprCstNode[];
  ports?: PortsCstNode[];
  where?: WhereCstNode[];
  body?: BodyCstNode[];
};

export interface DataCstNode extends CstNode { name: "data"; children: DataCstChildren; }
export type DataCstChildren = {
  Data: IToken[];
  Name: IToken[];
  body: BodyCstNode[];
};

export interface RunCstNode extends CstNode { name: "run"; children: RunCstChildren; }
export type RunCstChildren = {
  Train?: IToken[];
  Infer?: IToken[];
  title?: IToken[];
  For: IToken[];
  expr: ExprCstNode[];
  Like?: IToken[];
  model?: IToken[];
  body: BodyCstNode[];
};

export interface CheckCstNode extends CstNode { name: "check"; children: CheckCstChildren; }
export type CheckCstChildren = {
  Check: IToken[];
  expr: ExprCstNode[];
};

export interface PortsCstNode extends CstNode { name: "ports"; children: PortsCstChildren; }
export type PortsCstChildren = {
  LeftParen: IToken[];
  port?: (PortCstNode)[];
  Comma?: (IToken)[];
  RightParen: IToken[];
};

export interface PortCstNode extends CstNode { name: "port"; children: PortCstChildren; }
export type PortCstChildren = {
  Name: IToken[];
  Colon: IToken[];
  type: TypeCstNode[];
  Define?: IToken[];
  expr?: ExprCstNode[];
};

export interface ResultsCstNode extends CstNode { name: "results"; children: ResultsCstChildren; }
export type ResultsCstChildren = {
  result?: (ResultCstNode)[];
  LeftParen?: IToken[];
  Comma?: (IToken)[];
  RightParen?: IToken[];
};

export interface ResultCstNode extends CstNode { name: "result"; children: ResultCstChildren; }
export type ResultCstChildren = {
  Name?: IToken[];
  Colon?: IToken[];
  type: TypeCstNode[];
};

export interface WhereCstNode extends CstNode { name: "where"; children: WhereCstChildren; }
export type WhereCstChildren = {
  Where: IToken[];
  demand: DemandCstNode[];
  Comma?: IToken[];
};

export interface DemandCstNode extends CstNode { name: "demand"; children: DemandCstChildren; }
export type DemandCstChildren = {
  Name?: IToken[];
  Define?: IToken[];
  expr?: (ExprCstNode)[];
};

export interface BodyCstNode extends CstNode { name: "body"; children: BodyCstChildren; }
export type BodyCstChildren = {
  LeftBrace: IToken[];
  statement?: StatementCstNode[];
  RightBrace: IToken[];
};

export interface StatementCstNode extends CstNode { name: "statement"; children: StatementCstChildren; }
export type StatementCstChildren = {
  Param?: IToken[];
  State?: IToken[];
  Name?: (IToken)[];
  Colon?: IToken[];
  type?: TypeCstNode[];
  Define?: (IToken)[];
  expr?: (ExprCstNode)[];
  Shared?: IToken[];
  Update?: IToken[];
  Dial?: IToken[];
  Out?: IToken[];
  target?: (TargetCstNode)[];
  When?: IToken[];
  Return?: IToken[];
};

export interface TargetCstNode extends CstNode { name: "target"; children: TargetCstChildren; }
export type TargetCstChildren = {
  Name?: (IToken)[];
  LeftBracket?: IToken[];
  binders?: BindersCstNode[];
  RightBracket?: IToken[];
  LeftParen?: IToken[];
  Comma?: IToken[];
  RightParen?: IToken[];
};

export interface LoneCstNode extends CstNode { name: "lone"; children: LoneCstChildren; }
export type LoneCstChildren = {
  expr: ExprCstNode[];
};

export interface ExprCstNode extends CstNode { name: "expr"; children: ExprCstChildren; }
export type ExprCstChildren = {
  choice: ChoiceCstNode[];
  Pipe?: IToken[];
  stage?: StageCstNode[];
};

export interface StageCstNode extends CstNode { name: "stage"; children: StageCstChildren; }
export type StageCstChildren = {
  repeat?: RepeatCstNode[];
  path?: PathCstNode[];
  args?: ArgsCstNode[];
  As?: IToken[];
  Name?: IToken[];
};

export interface RepeatCstNode extends CstNode { name: "repeat"; children: RepeatCstChildren; }
export type RepeatCstChildren = {
  Repeat: IToken[];
  Name?: IToken[];
  In?: IToken[];
  range: RangeCstNode[];
  LeftBrace: IToken[];
  stage: StageCstNode[];
  Pipe?: IToken[];
  RightBrace: IToken[];
};

export interface ArgsCstNode extends CstNode { name: "args"; children: ArgsCstChildren; }
export type ArgsCstChildren = {
  LeftParen: IToken[];
  arg?: (ArgCstNode)[];
  Comma?: (IToken)[];
  RightParen: IToken[];
};

export interface ArgCstNode extends CstNode { name: "arg"; children: ArgCstChildren; }
export type ArgCstChildren = {
  Name?: IToken[];
  Define?: IToken[];
  expr: ExprCstNode[];
};

export interface ChoiceCstNode extends CstNode { name: "choice"; children: ChoiceCstChildren; }
export type ChoiceCstChildren = {
  If?: IToken[];
  expr?: (ExprCstNode)[];
  Then?: IToken[];
  Else?: IToken[];
  either?: EitherCstNode[];
};

export interface EitherCstNode extends CstNode { name: "either"; children: EitherCstChildren; }
export type EitherCstChildren = {
  both: (BothCstNode)[];
  Or?: IToken[];
};

export interface BothCstNode extends CstNode { name: "both"; children: BothCstChildren; }
export type BothCstChildren = {
  not: (NotCstNode)[];
  And?: IToken[];
};

export interface NotCstNode extends CstNode { name: "not"; children: NotCstChildren; }
export type NotCstChildren = {
  Not?: IToken[];
  compare: CompareCstNode[];
};

export interface CompareCstNode extends CstNode { name: "compare"; children: CompareCstChildren; }
export type CompareCstChildren = {
  range: (RangeCstNode)[];
  CompareOperator?: IToken[];
};

export interface RangeCstNode extends CstNode { name: "range"; children: RangeCstChildren; }
export type RangeCstChildren = {
  sum: (SumCstNode)[];
  RangeOperator?: IToken[];
};

export interface SumCstNode extends CstNode { name: "sum"; children: SumCstChildren; }
export type SumCstChildren = {
  term: (TermCstNode)[];
  AddOperator?: IToken[];
};

export interface TermCstNode extends CstNode { name: "term"; children: TermCstChildren; }
export type TermCstChildren = {
  unary: (UnaryCstNode)[];
  MultiplyOperator?: IToken[];
};

export interface UnaryCstNode extends CstNode { name: "unary"; children: UnaryCstChildren; }
export type UnaryCstChildren = {
  Minus?: IToken[];
  power: PowerCstNode[];
};

export interface PowerCstNode extends CstNode { name: "power"; children: PowerCstChildren; }
export type PowerCstChildren = {
  postfix: PostfixCstNode[];
  Caret?: IToken[];
  unary?: UnaryCstNode[];
};

export interface PostfixCstNode extends CstNode { name: "postfix"; children: PostfixCstChildren; }
export type PostfixCstChildren = {
  primary: PrimaryCstNode[];
  suffix?: SuffixCstNode[];
};

export interface SuffixCstNode extends CstNode { name: "suffix"; children: SuffixCstChildren; }
export type SuffixCstChildren = {
  args?: ArgsCstNode[];
  LeftBracket?: IToken[];
  elements?: ElementsCstNode[];
  RightBracket?: IToken[];
  Dot?: IToken[];
  Name?: IToken[];
};

export interface PrimaryCstNode extends CstNode { name: "primary"; children: PrimaryCstChildren; }
export type PrimaryCstChildren = {
  Number?: IToken[];
  Text?: IToken[];
  True?: IToken[];
  False?: IToken[];
  reduction?: ReductionCstNode[];
  list?: ListCstNode[];
  group?: GroupCstNode[];
  Name?: IToken[];
};

export interface GroupCstNode extends CstNode { name: "group"; children: GroupCstChildren; }
export type GroupCstChildren = {
  LeftParen: IToken[];
  expr: ExprCstNode[];
  Comma?: IToken[];
  RightParen: IToken[];
};

export interface ReductionCstNode extends CstNode { name: "reduction"; children: ReductionCstChildren; }
export type ReductionCstChildren = {
  Reducer: IToken[];
  LeftBracket: IToken[];
  binders: BindersCstNode[];
  Where?: IToken[];
  elements?: ElementsCstNode[];
  RightBracket: IToken[];
  LeftParen: IToken[];
  expr: ExprCstNode[];
  RightParen: IToken[];
};

export interface ListCstNode extends CstNode { name: "list"; children: ListCstChildren; }
export type ListCstChildren = {
  LeftBracket: IToken[];
  element?: (ElementCstNode)[];
  Semicolon?: IToken[];
  expr?: (ExprCstNode)[];
  For?: IToken[];
  Name?: IToken[];
  In?: IToken[];
  Comma?: (IToken)[];
  RightBracket: IToken[];
};

export interface PathCstNode extends CstNode { name: "path"; children: PathCstChildren; }
export type PathCstChildren = {
  Name: IToken[];
  Dot?: IToken[];
};

export interface TypeCstNode extends CstNode { name: "type"; children: TypeCstChildren; }
export type TypeCstChildren = {
  tensor?: TensorCstNode[];
  Name?: IToken[];
  LeftBracket?: IToken[];
  RightBracket?: IToken[];
};

export interface TensorCstNode extends CstNode { name: "tensor"; children: TensorCstChildren; }
export type TensorCstChildren = {
  LeftBracket?: (IToken)[];
  elements?: (ElementsCstNode)[];
  RightBracket?: (IToken)[];
  word?: IToken[];
  For?: IToken[];
  index?: IToken[];
  In?: IToken[];
  expr?: ExprCstNode[];
};

export interface ElementsCstNode extends CstNode { name: "elements"; children: ElementsCstChildren; }
export type ElementsCstChildren = {
  element: (ElementCstNode)[];
  Comma?: (IToken)[];
};

export interface ElementCstNode extends CstNode { name: "element"; children: ElementCstChildren; }
export type ElementCstChildren = {
  Star?: IToken[];
  expr: ExprCstNode[];
};

export interface BindersCstNode extends CstNode { name: "binders"; children: BindersCstChildren; }
export type BindersCstChildren = {
  binder: BinderCstNode[];
  Comma?: IToken[];
};

export interface BinderCstNode extends CstNode { name: "binder"; children: BinderCstChildren; }
export type BinderCstChildren = {
  Star?: IToken[];
  sum: SumCstNode[];
  In?: IToken[];
  range?: RangeCstNode[];
};
