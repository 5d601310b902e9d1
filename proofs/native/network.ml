(* The network of a model file, as the machine's: direct coding, Linear layers with LIF or VariedLIF behind each, a Flatten
   anywhere, and what is read: the mean of a last Linear, or spikes. As checking/network/model.py; all else is refused by name.
   Trusted. *)
open Json
open Checker

(* a float is m * 2^e, exactly; without the mantissa's trailing zeros *)
let exact name f =
  if not (Float.is_finite f) then refuse (name ^ ": got NaN or inf, expected finite numbers");
  let fraction, exponent = Float.frexp f in
  let m = Big.Whole.of_float (Float.ldexp fraction 53) in
  if Big.Whole.sign m = 0 then { fnum = Big.Whole.zero; fexp = Big.Whole.zero }
  else
    let zeros = Big.Whole.trailing_zeros m in
    { fnum = Big.Whole.shift_right m zeros; fexp = Big.Whole.of_int (exponent - 53 + zeros) }

type place = { layer : int; neurons : int array }              (* what a place of a certificate names: which neurons of a layer *)
type t = { machine : network; places : (int * place) list; shape : int list; digest : string }

let flat = Tensors.product

let taken tensors name =
  match Hashtbl.find_opt tensors name with
  | None -> refuse ("lacks the tensor " ^ short name)
  | Some t -> Hashtbl.remove tensors name; t
let floats content tensors name shape =
  let t = taken tensors name in
  if t.Tensors.kind <> "float32" then refuse (Printf.sprintf "no rule for %s of type %s: what is proven is about float32" (short name) t.kind);
  if t.shape <> shape then refuse (short name ^ ": has another shape than it says");
  Array.init (flat shape) (fun i -> exact (short name) (Tensors.float32 content t i))

let affine content tensors name layer shape =
  let weight = floats content tensors (name ^ ".weight") shape and outputs = List.hd shape in
  let bias = match field "bias" layer with
    | Bool true -> floats content tensors (name ^ ".bias") [ outputs ]
    | Bool false -> Array.make outputs { fnum = Big.Whole.zero; fexp = Big.Whole.zero }
    | _ -> refuse "bias: expected true or false" in
  (weight, bias)

let linear content tensors name layer width =
  known "a Linear" [ "type"; "in_features"; "out_features"; "bias" ] layer;
  let inputs = whole "in_features" (field "in_features" layer) and outputs = whole "out_features" (field "out_features" layer) in
  if inputs <> width || outputs < 1 then refuse (name ^ ": does not fit its inputs");
  let weight, bias = affine content tensors name layer [ outputs; inputs ] in
  List.init outputs (fun r -> (List.init inputs (fun c -> (c, weight.(r * inputs + c))), bias.(r)))

(* ---- images: channels, height, width --------------------------------------------------------------------------------------------- *)
let most_products = 1 lsl 24
let range n = List.init n Fun.id
let pair name least layer =
  match field name layer with
  | List [ a; b ] when List.for_all (fun v -> let n = whole name v in least <= n && n <= 1 lsl 15) [ a; b ] -> (whole name a, whole name b)
  | List _ -> refuse (name ^ ": expected two whole numbers in their range")
  | one -> let n = whole name one in if least <= n && n <= 1 lsl 15 then (n, n) else refuse (name ^ ": is out of its range")
(* how many windows fit along an axis *)
let windows size before behind kernel stride dilation =
  let n = size + before + behind - dilation * (kernel - 1) - 1 in
  if n < 0 then refuse "a window is larger than its image" else n / stride + 1

(* y[o, r, q] = b[o] + sum of W[o, c, i, j] * x[group's c, r * stride + i * dilation - padding, the same of q and j] *)
let convolution content tensors name layer sizes =
  known "a Conv2d" [ "type"; "in_channels"; "out_channels"; "kernel_size"; "stride"; "padding"; "dilation"; "groups"; "bias"; "padding_mode" ] layer;
  if text "padding_mode" layer <> "zeros" then refuse ("no rule for a padding of " ^ short (text "padding_mode" layer));
  let channels, height, width = match sizes with [ c; h; w ] -> (c, h, w) | _ -> refuse (name ^ ": does not fit its inputs") in
  let number key = let n = whole key (field key layer) in if n < 1 then refuse (key ^ ": is out of its range") else n in
  let outputs = number "out_channels" and groups = number "groups" in
  let kh, kw = pair "kernel_size" 1 layer and sh, sw = pair "stride" 1 layer and dh, dw = pair "dilation" 1 layer in
  let (top, bottom), (first, final) = match field "padding" layer with
    | Text "valid" -> ((0, 0), (0, 0))
    | Text "same" -> let halves n = (n / 2, n - n / 2) in (halves (dh * (kh - 1)), halves (dw * (kw - 1)))
    | _ -> let h, w = pair "padding" 0 layer in ((h, h), (w, w)) in
  if number "in_channels" <> channels || channels mod groups <> 0 || outputs mod groups <> 0 then refuse (name ^ ": does not fit its inputs");
  let each = channels / groups in
  let rows = windows height top bottom kh sh dh and columns = windows width first final kw sw dw in
  if Tensors.product [ outputs; rows; columns; each; kh; kw ] > most_products then refuse "is too large: a layer has more than 2^24 products";
  let weight, bias = affine content tensors name layer [ outputs; each; kh; kw ] in
  let row o r q =
    let start = o / (outputs / groups) * each in
    List.concat_map (fun c -> List.concat_map (fun i -> List.filter_map (fun j ->
      let y = r * sh + i * dh - top and x = q * sw + j * dw - first in
      if 0 <= y && y < height && 0 <= x && x < width
      then Some (((start + c) * height + y) * width + x, weight.(((o * each + c) * kh + i) * kw + j)) else None)
      (range kw)) (range kh)) (range each) in
  (List.concat_map (fun o -> List.concat_map (fun r -> List.map (fun q -> (row o r q, bias.(o))) (range columns)) (range rows)) (range outputs),
   [ outputs; rows; columns ])

let flatten layer shape =
  known "a Flatten" [ "type"; "start_dim"; "end_dim" ] layer;
  let count = List.length shape + 1 in
  let dimension name = let d = whole name (field name layer) in if d < 0 then d + count else d in
  let first = dimension "start_dim" and final = dimension "end_dim" in
  if not (1 <= first && first <= final && final < count) then refuse "no rule for a Flatten that does not fit, or touches the batch";
  let part from til = List.filteri (fun i _ -> from <= i && i < til) shape in
  part 0 (first - 1) @ [ flat (part (first - 1) final) ] @ part final count

(* ---- neurons ------------------------------------------------------------------------------------------------------------------- *)
let kind layer =
  (match optional "fires_at" layer with None | Some (Text (">=" | ">")) -> () | _ -> refuse "fires_at: expected >= or >");
  match text "reset" layer with
  | "zero" -> Zero | "subtract" -> Subtract | "none" -> Never
  | other -> refuse ("no rule for a reset " ^ short other)

let same_neurons layer width =
  known "a LIF" [ "type"; "decay"; "threshold"; "reset"; "reset_amount"; "fires_at"; "surrogate" ] layer;
  let constant name = exact name (Json.number name (field name layer)) in
  let kind = kind layer and theta = constant "threshold" in
  let drop = match optional "reset_amount" layer with
    | None -> theta
    | Some _ when kind = Subtract -> constant "reset_amount"
    | Some _ -> refuse "has a reset_amount that does not fit" in
  let neuron = { decay = constant "decay"; theta; kind; drop } in
  List.init width (fun _ -> neuron)

(* constants of each neuron, of the signal's last dimensions; 1 stands for all *)
let varied content tensors name layer shape =
  known "a VariedLIF" [ "type"; "shape"; "amounts"; "reset"; "fires_at"; "surrogate" ] layer;
  let own = List.map (whole "shape") (list "shape" (field "shape" layer)) in
  if own <> shape && flat own <> 1 then refuse "no rule for a VariedLIF of another shape than its inputs";
  if List.length own > List.length shape then refuse "neurons that differ do not fit their inputs";
  let constant part = floats content tensors (name ^ "." ^ part) own in
  let decay = constant "decay" and theta = constant "threshold" in
  let kind = kind layer in
  let drop = match field "amounts" layer with
    | Bool false -> theta
    | Bool true when kind = Subtract -> constant "reset_amount"
    | _ -> refuse "amounts: does not fit" in
  let at constants i = constants.(if Array.length constants = 1 then 0 else i) in
  List.init (flat shape) (fun i -> { decay = at decay i; theta = at theta i; kind; drop = at drop i })

(* the places of each kind of neurons, in the order in which kinds first come *)
let kinds neurons =
  let found = Hashtbl.create 16 and order = ref [] in
  List.iteri (fun i (n : neuron) ->
    match Hashtbl.find_opt found n with
    | Some places -> places := i :: !places
    | None -> let places = ref [ i ] in Hashtbl.add found n places; order := places :: !order) neurons;
  List.rev_map (fun places -> Array.of_list (List.rev !places)) !order

(* ---- the layers, one behind the other; places count as checking/network/graph.py counts nodes ------------------------------------- *)
type built = { hidden : (row list * neuron list) list; pending : row list option; sizes : int list; node : int; named : (int * place) list }

let spiking b neurons rows of_kinds =
  let layer = List.length b.hidden and all = kinds neurons in
  if of_kinds && layer = 0 && List.length all > 1 then refuse "no rule for neurons of several kinds in the first layer";
  let named, node =
    if not of_kinds then ([ (b.node + 1, { layer; neurons = Array.init (List.length neurons) Fun.id }) ], b.node + 1)
    else (List.mapi (fun i neurons -> (b.node + 2 + 3 * i, { layer; neurons })) all, b.node + 4 * List.length all - 1) in
  { b with hidden = (rows, neurons) :: b.hidden; pending = None; node; named = named @ b.named }

let behind content tensors b (index, layer) =
  let name = Printf.sprintf "layers.%d" index in
  match text "type" layer, b.pending with
  | "Flatten", _ -> { b with sizes = flatten layer b.sizes }
  | "Linear", None ->
      let width = match b.sizes with [ n ] -> n | _ -> refuse "no rule for a Linear layer of inputs that are not flat" in
      let rows = linear content tensors name layer width in
      { b with pending = Some rows; sizes = [ List.length rows ]; node = b.node + 1 }
  | "Conv2d", None ->
      let rows, sizes = convolution content tensors name layer b.sizes in
      { b with pending = Some rows; sizes; node = b.node + 1 }
  | "LIF", Some rows -> spiking b (same_neurons layer (List.length rows)) rows false
  | "VariedLIF", Some rows -> spiking b (varied content tensors name layer b.sizes) rows true
  | ("Linear" | "Conv2d" | "LIF" | "VariedLIF"), _ -> refuse (Printf.sprintf "no rule for %s here: each affine layer has neurons behind it, and all neurons read one" name)
  | other, _ -> refuse ("no rule for a " ^ short other ^ " layer")

let of_content (content : Tensors.content) shape =
  let t = content.text in
  known "a network" [ "num_steps"; "encoding"; "readout"; "layers" ] t;
  let steps = whole "num_steps" (field "num_steps" t) in
  if steps < 1 || steps > 256 then refuse "num_steps: expected 1 to 256";
  if text "encoding" t <> "direct" then refuse ("no rule for encoding " ^ short (text "encoding" t));
  let tensors = Hashtbl.create 64 in
  List.iter (fun (name, tensor) -> Hashtbl.add tensors name tensor) content.tensors;
  let start = { hidden = []; pending = None; sizes = shape; node = 0; named = [] } in
  let layers = List.mapi (fun i layer -> (i, layer)) (list "layers" (field "layers" t)) in
  let b = List.fold_left (behind content tensors) start layers in
  if Hashtbl.length tensors > 0 then refuse "holds a tensor that belongs to no layer";
  if b.hidden = [] then refuse "no rule for a network without neurons that fire";
  let fires = match List.rev layers with (_, last) :: _ -> List.mem (text "type" last) [ "LIF"; "VariedLIF" ] | [] -> false in
  let last = match text "readout" t, b.pending with
    | "mean", Some rows when b.sizes = [ List.length rows ] -> Some rows
    | "spikes", None when fires -> None
    | other, _ -> refuse ("no rule for readout " ^ short other ^ " behind such a layer") in
  let widest = List.fold_left (fun n (rows, _) -> max n (List.length rows)) (flat shape) b.hidden in
  if steps * steps * widest > 1 lsl 23 then refuse "is too large: steps * steps * neurons of a layer are more than 2^23";
  { machine = { steps; hidden = List.rev b.hidden; last }; places = b.named; shape; digest = content.digest }
