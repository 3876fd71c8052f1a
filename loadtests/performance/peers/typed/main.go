// A typed peer: decodes ExtenderArgs as extenders in Go do, passes every node, scores every node
// alike, and encodes the answer. It looks nothing up and judges nothing. Standard library only.
//
//	go build -o peer . && ./peer      prints the port of loopback that it listens on
package main

import (
	"encoding/json"
	"fmt"
	"net"
	"net/http"
)

type objectMeta struct {
	Name              string            `json:"name,omitempty"`
	GenerateName      string            `json:"generateName,omitempty"`
	Namespace         string            `json:"namespace,omitempty"`
	UID               string            `json:"uid,omitempty"`
	ResourceVersion   string            `json:"resourceVersion,omitempty"`
	CreationTimestamp string            `json:"creationTimestamp,omitempty"`
	Labels            map[string]string `json:"labels,omitempty"`
	Annotations       map[string]string `json:"annotations,omitempty"`
	ManagedFields     []managedFields   `json:"managedFields,omitempty"`
}

type managedFields struct {
	Manager  string          `json:"manager,omitempty"`
	FieldsV1 json.RawMessage `json:"fieldsV1,omitempty"`
}

type envVar struct {
	Name  string `json:"name"`
	Value string `json:"value,omitempty"`
}

type volumeMount struct {
	Name      string `json:"name"`
	ReadOnly  bool   `json:"readOnly,omitempty"`
	MountPath string `json:"mountPath"`
}

type resources struct {
	Limits   map[string]string `json:"limits,omitempty"`
	Requests map[string]string `json:"requests,omitempty"`
}

type container struct {
	Name         string        `json:"name"`
	Image        string        `json:"image,omitempty"`
	Command      []string      `json:"command,omitempty"`
	Args         []string      `json:"args,omitempty"`
	Env          []envVar      `json:"env,omitempty"`
	Resources    resources     `json:"resources,omitempty"`
	VolumeMounts []volumeMount `json:"volumeMounts,omitempty"`
}

type podResourceClaim struct {
	Name                      string  `json:"name"`
	ResourceClaimName         *string `json:"resourceClaimName,omitempty"`
	ResourceClaimTemplateName *string `json:"resourceClaimTemplateName,omitempty"`
}

type podSpec struct {
	Containers     []container        `json:"containers"`
	NodeName       string             `json:"nodeName,omitempty"`
	NodeSelector   map[string]string  `json:"nodeSelector,omitempty"`
	SchedulerName  string             `json:"schedulerName,omitempty"`
	Priority       *int32             `json:"priority,omitempty"`
	ResourceClaims []podResourceClaim `json:"resourceClaims,omitempty"`
}

type condition struct {
	Type               string `json:"type"`
	Status             string `json:"status"`
	Reason             string `json:"reason,omitempty"`
	Message            string `json:"message,omitempty"`
	LastHeartbeatTime  string `json:"lastHeartbeatTime,omitempty"`
	LastTransitionTime string `json:"lastTransitionTime,omitempty"`
}

type podStatus struct {
	Phase      string      `json:"phase,omitempty"`
	Conditions []condition `json:"conditions,omitempty"`
}

type pod struct {
	Kind       string     `json:"kind,omitempty"`
	APIVersion string     `json:"apiVersion,omitempty"`
	Metadata   objectMeta `json:"metadata,omitempty"`
	Spec       podSpec    `json:"spec,omitempty"`
	Status     podStatus  `json:"status,omitempty"`
}

type taint struct {
	Key    string `json:"key"`
	Value  string `json:"value,omitempty"`
	Effect string `json:"effect"`
}

type nodeSpec struct {
	PodCIDR    string  `json:"podCIDR,omitempty"`
	ProviderID string  `json:"providerID,omitempty"`
	Taints     []taint `json:"taints,omitempty"`
}

type image struct {
	Names     []string `json:"names,omitempty"`
	SizeBytes int64    `json:"sizeBytes,omitempty"`
}

type address struct {
	Type    string `json:"type"`
	Address string `json:"address"`
}

type nodeStatus struct {
	Capacity    map[string]string `json:"capacity,omitempty"`
	Allocatable map[string]string `json:"allocatable,omitempty"`
	Conditions  []condition       `json:"conditions,omitempty"`
	Addresses   []address         `json:"addresses,omitempty"`
	NodeInfo    map[string]any    `json:"nodeInfo,omitempty"`
	Images      []image           `json:"images,omitempty"`
}

type node struct {
	Kind       string     `json:"kind,omitempty"`
	APIVersion string     `json:"apiVersion,omitempty"`
	Metadata   objectMeta `json:"metadata,omitempty"`
	Spec       nodeSpec   `json:"spec,omitempty"`
	Status     nodeStatus `json:"status,omitempty"`
}

type nodeList struct {
	Metadata struct{} `json:"metadata"`
	Items    []node   `json:"items"`
}

type extenderArgs struct {
	Pod       *pod
	Nodes     *nodeList
	NodeNames *[]string
}

type filterResult struct {
	Nodes                      *nodeList
	NodeNames                  *[]string
	FailedNodes                map[string]string
	FailedAndUnresolvableNodes map[string]string
	Error                      string
}

type hostPriority struct {
	Host  string
	Score int64
}

func answer(judge func(extenderArgs) any) http.HandlerFunc {
	return func(writer http.ResponseWriter, request *http.Request) {
		var args extenderArgs
		if err := json.NewDecoder(request.Body).Decode(&args); err != nil {
			http.Error(writer, err.Error(), http.StatusBadRequest)
			return
		}
		writer.Header().Set("Content-Type", "application/json")
		body, err := json.Marshal(judge(args))
		if err != nil {
			http.Error(writer, err.Error(), http.StatusInternalServerError)
			return
		}
		writer.Header().Set("Content-Length", fmt.Sprint(len(body)))
		_, _ = writer.Write(body)
	}
}

func filter(args extenderArgs) any {
	return filterResult{
		Nodes: args.Nodes, NodeNames: args.NodeNames,
		FailedNodes: map[string]string{}, FailedAndUnresolvableNodes: map[string]string{},
	}
}

func prioritize(args extenderArgs) any {
	scores := []hostPriority{}
	if args.NodeNames != nil {
		for _, name := range *args.NodeNames {
			scores = append(scores, hostPriority{name, 1})
		}
	} else if args.Nodes != nil {
		for _, each := range args.Nodes.Items {
			scores = append(scores, hostPriority{each.Metadata.Name, 1})
		}
	}
	return scores
}

func main() {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		panic(err)
	}
	fmt.Println(listener.Addr().(*net.TCPAddr).Port)
	mux := http.NewServeMux()
	mux.HandleFunc("/filter", answer(filter))
	mux.HandleFunc("/prioritize", answer(prioritize))
	panic(http.Serve(listener, mux))
}
